"""Named numerics: the name follows the kernels in use, it is part of a training's fingerprint, and it is kept to."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from cavesson.errors import ConfigError
from cavesson.lab import manifest, numerics
from cavesson.lab.lab import Lab
from cavesson.lab.numerics import Processor, name_of
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained
from training_world import Sayings, Untrained, llama

AVX2 = frozenset({"sse4_1", "avx", "avx2", "fma"})
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
BF16 = AVX512 | {"avx512_bf16"}
AMX = BF16 | {"amx_tile", "amx_bf16"}
LOWERED = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
FOREIGN = "fp32-cuda-sm12345"


def trained(**settings) -> Trained:
    return Trained(base=Untrained(), data=Sayings(), **{"lr": 1e-3, "steps": 2, "batch_size": 4, **settings})


@pytest.mark.skipif(numerics.is_arm(), reason="names of x86 processors")
@pytest.mark.parametrize(
    ("flags", "maker", "variables", "fp32", "bf16"),
    [
        (AVX2, "intel", {}, "fp32-avx2", "bf16-avx2"),
        (AVX512, "intel", {}, "fp32-avx512", "bf16-avx512"),
        (AMX, "intel", {}, "fp32-avx512", "bf16-amx"),
        (AMX, "intel", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, "fp32-avx512", "bf16-avx512bf16"),
        (AMX, "intel", {"ATEN_CPU_CAPABILITY": "avx2"}, "fp32-avx512-torch_avx2", "bf16-amx-torch_avx2"),
        (BF16, "amd", {}, "fp32-avx512-amd", "bf16-avx512bf16-amd"),
        (BF16, "amd", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "fp32-avx512-amd", "bf16-avx512-amd"),
        (BF16, "amd", LOWERED, "fp32-avx2-amd", "bf16-avx2-amd"),
        (BF16, "amd", {"ATEN_CPU_CAPABILITY": "avx2"}, "fp32-avx512-torch_avx2-amd", None),
        (AVX512, "intel", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "fp32-avx2-torch_avx512-mkl_avx512", None),
        (BF16, "amd", {"MKL_CBWR": "COMPATIBLE"}, "fp32-avx512-amd-mkl_compatible", None),
        (BF16, "amd", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "fp32-avx2-torch_avx512-amd", "bf16-avx2-torch_avx512-amd"),
        (AMX, "intel", LOWERED, "fp32-avx2-mkl_avx512", "bf16-avx2-mkl_avx512"),
        (AMX, "intel", {**LOWERED, "MKL_ENABLE_INSTRUCTIONS": "AVX2"}, "fp32-avx2", "bf16-avx2"),
        (frozenset(), "", {}, "fp32-default", "bf16-default"),
    ],
)
def test_names_follow_processor_and_environment(flags, maker, variables, fp32, bf16):
    found = Processor("some processor", maker, flags)
    assert name_of("fp32", found, variables) == fp32
    assert bf16 is None or name_of("bf16", found, variables) == bf16
    assert numerics.resolved(fp32) == fp32, "every name that is made is accepted"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="torch's names of x86 kernels")
@pytest.mark.parametrize("variables", [{}, {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}])
def test_the_families_are_those_that_torch_and_onednn_report(variables):
    """oneDNN says what it uses when it runs its first product, if `ONEDNN_VERBOSE` is set."""
    code = (
        "import torch\n"
        "from cavesson.lab.numerics import processor, products_of, vectors_of\n"
        "import os\n"
        "a = torch.ones(64, 64, dtype=torch.bfloat16)\n"
        "torch.nn.functional.linear(a, a)\n"
        "print('torch', torch.backends.cpu.get_cpu_capability().lower())\n"
        "print('ours', vectors_of(processor(), os.environ), products_of('bf16', processor(), os.environ))\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ATEN_", "ONEDNN_", "DNNL_"))}
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **env,
            "ONEDNN_VERBOSE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **variables,
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    torchs = re.search(r"^torch (\w+)$", told, re.MULTILINE)
    ours = re.search(r"^ours (\w+) (\w+)$", told, re.MULTILINE)
    assert torchs is not None and ours is not None and ours[1] == torchs[1]
    isa = re.search(r"cpu,isa:(.*)$", told, re.MULTILINE)
    if isa is not None:  # a torch without oneDNN says nothing
        words = {"amx": "AMX", "avx512bf16": "bfloat16", "avx512": "AVX-512", "avx2": "AVX2", "default": ""}
        stronger = list(words.values())[: list(words).index(ours[2])]
        assert words[ours[2]] in isa[1] and not any(word in isa[1] for word in stronger)


def weights(root: Path) -> Path:
    """The weights after a training in this process, in a store of its own."""
    with Lab(Store(root)) as lab:
        return lab.path(trained(steps=60, lr=3e-3)) / "final" / "model.safetensors"


def test_in_fp32_other_kernels_hardly_move_what_a_training_comes_to(tmp_path):
    """In bf16 the same change of kernels moves the weights by a sixth of their way (docs/statistics.md)."""
    code = "import sys; from pathlib import Path; from test_numerics import weights; print(weights(Path(sys.argv[1])))"
    path = os.pathsep.join([*sys.path, os.path.dirname(__file__)])  # noqa: PTH120
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **LOWERED, "MKL_CBWR": "COMPATIBLE"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    start = llama().net.state_dict()
    own, other = load_file(weights(tmp_path)), load_file(done.stdout.strip())
    apart = sum((own[name] - other[name]).square().sum() for name in own)
    way = sum((own[name] - start[name]).square().sum() for name in own)
    assert apart < 0.02**2 * way


def test_a_training_is_named_after_this_machines_numerics():
    run = trained()
    assert run.precision == numerics.here() == run.numerics
    assert Recipe.parse(run.model_dump(mode="json")) == run, "a worker reads the full name as it stands"
    assert trained(precision="fp32").precision == numerics.here("fp32")
    assert trained(precision="bf16").fingerprint != trained(precision="fp32").fingerprint
    assert trained(precision=FOREIGN).fingerprint not in (run.fingerprint, trained(precision="bf16").fingerprint)
    assert Dose(lr=1e-3, steps=2).train(Untrained(), Sayings()).precision == numerics.here()


def test_a_phase_of_a_study_keeps_what_the_user_asked_for():
    """Its config runs on another machine; the recipes are named there."""
    from cavesson.studies.settings import Phase

    assert Phase().precision == "auto" and Phase(precision="bf16").dose(1e-3, 0).precision == numerics.here("bf16")


@pytest.mark.parametrize("wrong", ["fp16", "bf32", "fp32-", "FP32-avx2", "float32"])
def test_what_is_no_precision_is_refused_with_what_is_allowed(wrong):
    with pytest.raises(ValidationError, match=f"There is no precision '{wrong}'"):
        trained(precision=wrong)


def test_another_machines_training_is_refused_before_anything_starts(tmp_path):
    store = Store(tmp_path / "store")
    run = trained(precision=FOREIGN)
    with Lab(store) as lab, pytest.raises(ConfigError, match=rf"numerics {FOREIGN}, and this machine has fp32-"):
        lab.make([trained(), run])
    assert not store.has(trained()), "nothing was started"


def test_another_machines_finished_training_is_simply_used(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    run = trained(precision=FOREIGN)
    with monkeypatch.context() as patch:
        patch.setattr(numerics, "here", lambda precision="auto": FOREIGN)
        with Lab(store) as lab:
            lab.make([run])
    with Lab(store) as lab:
        lab.make([run])
        assert run.load(lab.path).key == f"{run.fingerprint}@2"


def test_every_manifest_says_what_decides_the_last_bits(tmp_path):
    run = trained()
    with Lab(Store(tmp_path / "store")) as lab:
        folder = lab.path(run)
    said = manifest.read(folder).machine
    assert said == {
        "processor": numerics.machine_model(),
        "instructions": numerics.instructions(),
        "threads": "1",
        "numerics": run.precision,
    }


def test_a_manifest_of_an_older_version_is_read(tmp_path):
    run = trained()
    with Lab(Store(tmp_path / "store")) as lab:
        folder = lab.path(run)
    content = json.loads((folder / manifest.NAME).read_text())
    del content["machine"], content["digest"]
    content["digest"] = manifest._digest(content)
    (folder / manifest.NAME).write_text(json.dumps(content))
    assert manifest.read(folder).machine == {}
