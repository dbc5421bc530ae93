"""Devices: what may be asked for, and that no step mixes two of them.

No GPU is needed: `meta`, torch's device without memory, stands in for it, and every operation
of a step is looked at for tensors of two devices.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.baselines.held import HeldTrainer
from models.baselines.held_targets import HeldTargets
from models.bundle import default_bundle
from models.learning.batches import policy_data
from models.learning.bc import BcTrainer
from models.learning.devices import CPU, DeviceError, device_named, device_words, moved
from models.learning.dynamics import DynamicsTrainer, history
from models.learning.iql import IqlTrainer
from models.learning.reference import Reference, Scans
from models.learning.scalar_picnn import ScalarTrainer
from models.learning.sequence_picnn import SequenceTrainer

ELSEWHERE = torch.device("meta")


class OneDevice(TorchDispatchMode):
    """Fails for an operation on tensors of two devices; a copy from one to the other may be."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs or {}))
        devices = {t.device for t in leaves if isinstance(t, torch.Tensor) and t.dim() > 0}
        if len(devices) > 1 and operation is not torch.ops.aten._to_copy.default:
            raise AssertionError(f"{operation} on {devices}")
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", ""])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(DeviceError, match="unknown; give cpu, cuda or cuda:N"):
        device_named(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_there_is_not_is_refused():
    with pytest.raises(DeviceError, match=r"--device cuda:1: torch .* give --device cpu"):
        device_named("cuda:1")


def test_the_processor_is_named_and_recorded():
    assert device_named("cpu") == CPU
    assert device_words(CPU) == "cpu"


def test_the_check_sees_two_devices():
    rows = torch.zeros(4, 2, device=ELSEWHERE)
    with OneDevice(), pytest.raises(AssertionError, match="meta"):
        rows[torch.tensor([1, 2])]


def held_trainer(recipe):
    draw = torch.Generator().manual_seed(1)
    shapes = {"features": (9, 8), "error": (9, 2), "moves": (9, 2, 2), "gradients": (9, 2, 2)}
    columns = {k: torch.randn(*v, generator=draw).numpy() for k, v in shapes.items()}
    targets = HeldTargets(**columns, curvature=torch.eye(2).expand(9, 2, 2).numpy())
    return HeldTrainer(targets, recipe.held, 1, device=ELSEWHERE)


@pytest.fixture
def make(small_recipe, small_data, small_horizons):
    """A trainer with everything elsewhere, by name."""
    past, rule = history(small_data, small_recipe), small_recipe.dynamics
    transitions = moved(policy_data(small_data, small_recipe), ELSEWHERE)

    def dynamics(begun=None):
        return DynamicsTrainer(past, rule, 1, 0, begun=begun, device=ELSEWHERE)

    makers = {
        "bc": lambda: BcTrainer(transitions, small_recipe.policy, 1),
        "iql": lambda: IqlTrainer(transitions, small_recipe.policy, 1),
        "scalar": lambda: ScalarTrainer(transitions, small_recipe.scalar, 1),
        "dynamics": dynamics,
        "rollout": lambda: dynamics(dynamics().model),
        "sequence": lambda: SequenceTrainer(
            moved(small_horizons, ELSEWHERE), small_recipe.cost, 1, 0
        ),
        "held": lambda: held_trainer(small_recipe),
    }
    return lambda name: makers[name]()


@pytest.mark.parametrize("name", ["bc", "iql", "scalar", "dynamics", "rollout", "sequence", "held"])
def test_a_step_stays_on_its_device(name, make):
    trainer = make(name)
    with OneDevice():
        losses = trainer.step()
    assert {loss.device for loss in losses.values()} == {ELSEWHERE}
    weights = [p for module in trainer.modules.values() for p in module.parameters()]
    assert {weight.device for weight in weights} == {ELSEWHERE}


def test_the_reference_stays_on_its_device():
    reference = Reference.load(default_bundle(), ELSEWHERE)
    cost, n_cv = reference.manifest.cost, len(reference.manifest.cvs)
    n_mv, n_blocks = len(reference.manifest.mvs), len(cost.blocks)
    shapes = {
        "features": (5, len(cost.features)),
        "disturbance": (5, n_cv),
        "now": (5, n_cv),
        "error": (5, n_cv),
        "bias": (5, n_blocks, n_cv),
        "policy": (5, n_mv),
        "low": (5, n_blocks, n_mv),
        "high": (5, n_blocks, n_mv),
    }
    scans = Scans(
        **{
            name: torch.empty(*s, device=ELSEWHERE, dtype=torch.float64)
            for name, s in shapes.items()
        }
    )
    with OneDevice():
        slope = reference.gradient(scans, scans.low)
        stiff = reference._fixed_curvature(scans)
        rows = reference._ceiling_rows(scans)
    assert {slope.device, stiff.device, rows.device} == {ELSEWHERE}
