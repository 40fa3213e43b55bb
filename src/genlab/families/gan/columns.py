"""What a GAN's metric rows hold."""

from genlab.families.base import Column

COLUMNS = (
    Column("loss_d", "Loss/Discriminator", live="D", block=True, role="loss of discriminator"),
    Column("loss_g", "Loss/Generator", live="G", block=True, role="loss of generator"),
    Column("loss_d_held_out", "Loss/Discriminator on held-out images", role="held-out loss of discriminator"),
    Column("penalty", "Loss/Penalty"),
    Column("class_loss_d", "Loss/Class of real images"),
    Column("class_loss_g", "Loss/Class of generated images"),
    Column("d_real", "D/real"),
    Column("d_fake", "D/fake"),
    Column("logit_real", "Logit/real", role="logit of real images"),
    Column("logit_fake", "Logit/fake", role="logit of generated images"),
    Column("grad_norm_d", "GradientNorm/Discriminator", role="gradient of discriminator"),
    Column("grad_norm_g", "GradientNorm/Generator", role="gradient of generator"),
    Column("update_d", "Update/Discriminator", role="update of discriminator"),
    Column("update_g", "Update/Generator", role="update of generator"),
    Column("dead_units_d", "DeadUnits/Discriminator", role="dead units of discriminator"),
    Column("dead_units_g", "DeadUnits/Generator", role="dead units of generator"),
    Column("lr_d", "LearningRate/Discriminator", role="learning rate of discriminator"),
    Column("lr_g", "LearningRate/Generator", role="learning rate of generator"),
)
