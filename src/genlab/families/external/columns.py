"""What the metric rows of a watched loop hold; of each only what the loop gave."""

from genlab.families.base import Column

COLUMNS = (
    Column("loss", "Loss/Training minibatch", live="loss", block=True, role="loss"),
    Column("loss_d", "Loss/Discriminator", live="D", block=True, role="loss of discriminator"),
    Column("loss_g", "Loss/Generator", live="G", block=True, role="loss of generator"),
    Column("logit_real", "Logit/real", block=True, role="logit of real images"),
    Column("logit_fake", "Logit/fake", block=True, role="logit of generated images"),
    Column("reconstruction_sum", "Reconstruction", block=True, role="reconstruction"),
    Column("kl_sum", "KL", live="KL", block=True, role="kl"),
    Column("test_loss", "Loss/Test", role="test loss"),
    Column("train_accuracy", "Accuracy/training", block=True, role="training accuracy"),
    Column("test_accuracy", "Accuracy/test", role="test accuracy"),
    Column("grad_norm", "GradientNorm", role="gradient"),
    Column("grad_norm_d", "GradientNorm/Discriminator", role="gradient of discriminator"),
    Column("grad_norm_g", "GradientNorm/Generator", role="gradient of generator"),
    Column("update", "Update", role="update"),
    Column("update_d", "Update/Discriminator", role="update of discriminator"),
    Column("update_g", "Update/Generator", role="update of generator"),
    Column("update_d_by_g", "Update/Discriminator by the generator's", role="update of discriminator by the other's"),
    Column("update_g_by_d", "Update/Generator by the discriminator's", role="update of generator by the other's"),
    Column("dead_units", "DeadUnits", role="dead units"),
    Column("dead_units_d", "DeadUnits/Discriminator", role="dead units of discriminator"),
    Column("dead_units_g", "DeadUnits/Generator", role="dead units of generator"),
)
