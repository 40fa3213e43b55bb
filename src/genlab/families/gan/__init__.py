"""Generative adversarial networks (Goodfellow et al. 2014) and their conditional, packed and penalised variants."""
