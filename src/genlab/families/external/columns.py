"""Columns of a watched loop's metric rows; a row holds only what the loop gave."""

from genlab.families.base import Column

COLUMNS = (
    Column("loss", "Loss/Training minibatch", live="loss", block=True, role="loss"),
    Column("loss_d", "Loss/Discriminator", live="D", block=True, role="loss of discriminator", called="loss of D"),
    Column("loss_g", "Loss/Generator", live="G", block=True, role="loss of generator", called="loss of G"),
    Column("logit_real", "Logit/real", block=True, role="logit of real images", called="logit of D on real images"),
    Column(
        "logit_fake",
        "Logit/fake",
        block=True,
        role="logit of generated images",
        called="logit of D on generated images",
    ),
    Column(
        "reconstruction_sum", "Reconstruction", block=True, role="reconstruction", called="reconstruction term in nats"
    ),
    Column("kl_sum", "KL", live="KL", block=True, role="kl", called="KL term in nats"),
    Column("test_loss", "Loss/Test", role="test loss"),
    Column("train_accuracy", "Accuracy/training", block=True, role="training accuracy"),
    Column("test_accuracy", "Accuracy/test", role="test accuracy"),
    Column("grad_norm", "GradientNorm", role="gradient", called="gradient norm"),
    Column("grad_norm_d", "GradientNorm/Discriminator", role="gradient of discriminator", called="gradient norm of D"),
    Column("grad_norm_g", "GradientNorm/Generator", role="gradient of generator", called="gradient norm of G"),
    Column("update", "Update", role="update", called="update over the weights"),
    Column("update_d", "Update/Discriminator", role="update of discriminator", called="update of D over its weights"),
    Column("update_g", "Update/Generator", role="update of generator", called="update of G over its weights"),
    Column("update_d_by_g", "Update/Discriminator by the generator's", role="update of discriminator by the other's"),
    Column("update_g_by_d", "Update/Generator by the discriminator's", role="update of generator by the other's"),
    Column("dead_units", "DeadUnits", role="dead units"),
    Column("dead_units_d", "DeadUnits/Discriminator", role="dead units of discriminator", called="dead units of D"),
    Column("dead_units_g", "DeadUnits/Generator", role="dead units of generator", called="dead units of G"),
)
