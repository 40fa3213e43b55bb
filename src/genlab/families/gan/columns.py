"""Columns of a GAN's metric rows."""

from genlab.families.base import Column

COLUMNS = (
    Column("loss_d", "Loss/Discriminator", live="D", block=True, role="loss of discriminator", called="loss of D"),
    Column("loss_g", "Loss/Generator", live="G", block=True, role="loss of generator", called="loss of G"),
    Column(
        "loss_d_held_out",
        "Loss/Discriminator on held-out images",
        role="held-out loss of discriminator",
        called="loss of D on held-out images",
    ),
    Column("penalty", "Loss/Penalty"),
    Column("class_loss_d", "Loss/Class of real images", called="class loss of real images"),
    Column("class_loss_g", "Loss/Class of generated images", called="class loss of generated images"),
    Column("d_real", "D/real", called="score D(x)"),
    Column("d_fake", "D/fake", called="score D(G(z))"),
    Column("logit_real", "Logit/real", role="logit of real images", called="logit of D on real images"),
    Column("logit_fake", "Logit/fake", role="logit of generated images", called="logit of D on generated images"),
    Column("grad_norm_d", "GradientNorm/Discriminator", role="gradient of discriminator", called="gradient norm of D"),
    Column("grad_norm_g", "GradientNorm/Generator", role="gradient of generator", called="gradient norm of G"),
    Column("update_d", "Update/Discriminator", role="update of discriminator", called="update of D over its weights"),
    Column("update_g", "Update/Generator", role="update of generator", called="update of G over its weights"),
    Column("dead_units_d", "DeadUnits/Discriminator", role="dead units of discriminator", called="dead units of D"),
    Column("dead_units_g", "DeadUnits/Generator", role="dead units of generator", called="dead units of G"),
    Column("lr_d", "LearningRate/Discriminator", role="learning rate of discriminator", called="learning rate of D"),
    Column("lr_g", "LearningRate/Generator", role="learning rate of generator", called="learning rate of G"),
)
