"""Variational autoencoders (Kingma and Welling 2014), also conditional and with a weight beta on the KL term."""
