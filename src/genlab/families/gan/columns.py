"""What a GAN's metric rows hold."""

from genlab.families.base import Column

COLUMNS = (
    Column("loss_d", "Loss/Discriminator", live="D", block=True),
    Column("loss_g", "Loss/Generator", live="G", block=True),
    Column("loss_d_held_out", "Loss/Discriminator on held-out images"),
    Column("penalty", "Loss/Penalty"),
    Column("class_loss_d", "Loss/Class of real images"),
    Column("class_loss_g", "Loss/Class of generated images"),
    Column("d_real", "D/real"),
    Column("d_fake", "D/fake"),
    Column("logit_real", "Logit/real"),
    Column("logit_fake", "Logit/fake"),
    Column("grad_norm_d", "GradientNorm/Discriminator"),
    Column("grad_norm_g", "GradientNorm/Generator"),
    Column("update_d", "Update/Discriminator"),
    Column("update_g", "Update/Generator"),
    Column("dead_units_d", "DeadUnits/Discriminator"),
    Column("dead_units_g", "DeadUnits/Generator"),
    Column("lr_d", "LearningRate/Discriminator"),
    Column("lr_g", "LearningRate/Generator"),
)
