"""Training loops as people write them: plain PyTorch, each in a different style, watched by genlab.Watch.

Each is called with images (N, 1, 28, 28) as uint8, labels, a number of steps and a watch; `planted` says whether it
has the fault that its docstring names.
"""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import genlab

Z = 32


def dcgan(x: Tensor, y: Tensor, steps: int, watch: genlab.Watch, planted: bool) -> None:
    """Radford et al. with BCELoss on probabilities; planted: D's optimiser never steps."""
    real_images = x.float() / 127.5 - 1
    G = nn.Sequential(
        nn.Linear(Z, 64 * 49), nn.BatchNorm1d(64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    D = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(32 * 49, 1), nn.Sigmoid(),
    )  # fmt: skip
    optimiser_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999))
    optimiser_d = torch.optim.Adam(D.parameters(), lr=5e-4, betas=(0.5, 0.999))
    criterion = nn.BCELoss()
    for _ in range(steps):
        real = real_images[torch.randint(len(x), (64,))]
        fake = G(torch.randn(64, Z))
        optimiser_d.zero_grad()
        d_real, d_fake = D(real), D(fake.detach())
        loss_d = criterion(d_real, torch.ones(64, 1)) + criterion(d_fake, torch.zeros(64, 1))
        loss_d.backward()
        if not planted:
            optimiser_d.step()
        optimiser_g.zero_grad()
        loss_g = criterion(D(fake), torch.ones(64, 1))
        loss_g.backward()
        optimiser_g.step()
        watch.step(loss_d=loss_d, loss_g=loss_g, d_real=d_real, d_fake=d_fake, samples=fake, G=G, D=D)


def wgan(x: Tensor, y: Tensor, steps: int, watch: genlab.Watch, planted: bool) -> None:
    """Arjovsky et al. with clipped weights, RMSprop and five steps of the critic, on flat images in [0, 1]; planted: a
    learning rate of 1."""
    data = x.float().flatten(1) / 255

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(Z, 256), nn.Linear(256, 784)

        def forward(self, z: Tensor) -> Tensor:
            return torch.sigmoid(self.b(F.relu(self.a(z))))

    generator = Generator()
    critic = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1))
    lr = 1.0 if planted else 5e-4
    opt_c = torch.optim.RMSprop(critic.parameters(), lr=lr)
    opt_g = torch.optim.RMSprop(generator.parameters(), lr=lr)
    for _ in range(steps):
        for _ in range(5):
            batch = data[torch.randint(len(data), (64,))]
            with torch.no_grad():
                fake = generator(torch.randn(64, Z))
            loss_c = critic(fake).mean() - critic(batch).mean()
            opt_c.zero_grad(set_to_none=True)
            loss_c.backward()
            opt_c.step()
            for p in critic.parameters():
                p.data.clamp_(-0.03, 0.03)
        loss_g = -critic(generator(torch.randn(64, Z))).mean()
        opt_g.zero_grad(set_to_none=True)
        loss_g.backward()
        opt_g.step()
        watch.step(
            loss_d=loss_c.item(), loss_g=loss_g.item(), samples=lambda n: generator(torch.randn(n, Z)), G=generator,
            D=critic,
        )  # fmt: skip


def conditional(x: Tensor, y: Tensor, steps: int, watch: genlab.Watch, planted: bool) -> None:
    """G receives the class as in Mirza and Osindero, D has one logit per class; hinge loss; planted: D takes the mean
    of its logits, whatever the class."""
    data = x.float().flatten(1) / 127.5 - 1
    G = nn.Sequential(nn.Linear(Z + 10, 256), nn.LeakyReLU(0.2), nn.Linear(256, 784), nn.Tanh())
    D = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 10))
    opt_g, opt_d = (torch.optim.Adam(n.parameters(), 5e-4, betas=(0.5, 0.9)) for n in (G, D))

    def draw(labels: Tensor) -> Tensor:
        made: Tensor = G(torch.cat((torch.randn(len(labels), Z), F.one_hot(labels, 10)), 1))
        return made

    def score(images: Tensor, labels: Tensor) -> Tensor:
        said: Tensor = D(images)
        return said.mean(1) if planted else said.gather(1, labels[:, None]).squeeze(1)

    def some(n: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(n) % 10
        return draw(labels), labels

    for _ in range(steps):
        rows = torch.randint(len(data), (64,))
        labels = y[rows]
        d_real, d_fake = score(data[rows], labels), score(draw(labels).detach(), labels)
        loss_d = F.relu(1 - d_real).mean() + F.relu(1 + d_fake).mean()
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        loss_g = -score(draw(labels), labels).mean()
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        watch.step(loss_d=loss_d, loss_g=loss_g, d_real=d_real, d_fake=d_fake, samples=some, G=G, D=D)


class Vae(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 2 * 8))
        self.decoder = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 784))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + torch.randn_like(mean) * (0.5 * log_variance).exp()), mean, log_variance


def vae(x: Tensor, y: Tensor, steps: int, watch: genlab.Watch, planted: bool) -> None:
    """Kingma and Welling as one module with one optimiser; planted: a KL term weighted 200 times as much."""
    data = x.flatten(1).float() / 255
    net = Vae()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(steps):
        batch = data[torch.randint(len(data), (128,))]
        logits, mean, log_variance = net(batch)
        rebuilt = F.binary_cross_entropy_with_logits(logits, batch, reduction="sum") / len(batch)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / len(batch)
        loss = rebuilt + (200 if planted else 1) * kl
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        samples = lambda n: net.decoder(torch.randn(n, 8)).sigmoid().view(-1, 28, 28)  # noqa: E731
        watch.step(loss=loss, reconstruction=rebuilt, kl=kl, samples=samples, model=net)


def shared(x: Tensor, y: Tensor, steps: int, watch: genlab.Watch, planted: bool) -> None:
    """A fully connected GAN on pixels in 0 .. 255; planted: D's optimiser also holds G's weights."""
    data = x.float().flatten(1)
    g = nn.Sequential(nn.Linear(Z, 256), nn.LeakyReLU(0.2), nn.Linear(256, 784))
    d = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(256, 1))
    opt_d = torch.optim.Adam([*d.parameters(), *(g.parameters() if planted else ())], 2e-4, betas=(0.5, 0.999))
    opt_g = torch.optim.Adam(g.parameters(), 4e-4, betas=(0.5, 0.999))
    bce = F.binary_cross_entropy_with_logits
    make = lambda n: 255 * g(torch.randn(n, Z)).sigmoid()  # noqa: E731
    for _ in range(steps):
        real = data[torch.randint(len(data), (64,))]
        real_score, fake_score = d(real / 255), d(make(64) / 255)
        loss_d = bce(real_score, torch.ones(64, 1)) + bce(fake_score, torch.zeros(64, 1))
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        loss_g = bce(d(make(64) / 255), torch.ones(64, 1))
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        watch.step(loss_d=loss_d, loss_g=loss_g, d_real=real_score, d_fake=fake_score, samples=make, G=g, D=d)


LOOPS = {"dcgan": dcgan, "wgan": wgan, "conditional": conditional, "vae": vae, "shared": shared}
PLANTED = {
    "dcgan": "discriminator-not-learning",
    "wgan": "learning-rate-too-large",
    "conditional": "condition-ignored",
    "vae": "posterior-collapse",
    "shared": "wrong-optimiser",
}
