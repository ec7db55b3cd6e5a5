"""Rendered pipelines in kfp's own hands: compared with its compiler's output, read by it, run by its local runner."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

kfp = pytest.importorskip("kfp", reason="make test-kfp has an environment with kfp")
from google.protobuf import json_format  # noqa: E402
from kfp.kubernetes import kubernetes_executor_config_pb2  # noqa: E402
from kfp.pipeline_spec import pipeline_spec_pb2  # noqa: E402

from kfp import compiler, components, dsl, kubernetes, local  # noqa: E402
from pvserve.model import listing  # noqa: E402
from pvserve.plan.load_step import program_map, step_arguments, step_command  # noqa: E402
from pvserve.transfer.program import step_files  # noqa: E402
from tests.unit.render import plans  # noqa: E402
from tests.unit.transfer.fetch.shop import Shop  # noqa: E402

PROGRAM = program_map("llm", step_files())["metadata"]["name"]


def rendered(name: str, plan: Any = None) -> str:
    return plans.render(plan or plans.copying(), "kfp")[f"granite-pvc/kfp/{name}"]


def documents(plan: Any = None) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered("pipeline.yaml", plan)))


def component_of(plan: Any, directory: Path) -> Any:
    """The rendered component, imported from its file as a user's pipeline does."""
    (directory / "component.py").write_text(rendered("component.py", plan))
    spec = importlib.util.spec_from_file_location("component", directory / "component.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fetching(shop: Shop, claim: Path) -> Any:
    """A plan that fetches from this server to this directory."""
    step = plans.fetch_step()
    place = {"mount": str(claim), "path": "granite", "key": "granite"}
    order = {
        "version": 1,
        "source": {"scheme": "http", "uri": f"{shop.url}/model.bin"},
        "include": [],
        "exclude": [],
        "allowPickle": True,
        "place": place,
        "claim": "vllm-model-cache",
        "replace": False,
        "fingerprint": "",
        "ca": [],
        "proxy": "",
        "noProxy": "",
    }
    return plans.whole(steps=(replace(step, order=order),))


def test_the_pipeline_is_what_the_compiler_writes(tmp_path: Path) -> None:
    load = plans.copy_step()

    @dsl.container_component
    def load_model(path: str, uri: dsl.OutputPath(str), digest: dsl.OutputPath(str), bytes: dsl.OutputPath(int)):
        words = step_arguments(load, path="PATH")
        where = words.index("PATH")
        files = ["--uri-file", uri, "--digest-file", digest, "--bytes-file", bytes]
        arguments = [*words[:where], path, *words[where + 1 :], *files]
        return dsl.ContainerSpec(image="vllm:1", command=step_command(), args=arguments)

    @dsl.pipeline(
        name="granite-pvc-load",
        description="Loads a model from pvc://workbench/models/granite onto claim vllm-model-cache.",
    )
    def pipeline(path: str = "granite-7b-lab"):
        task = load_model(path=path)
        task.set_caching_options(False)
        task.set_retry(3)
        task.set_env_variable("HOME", "/tmp")
        task.set_cpu_request("200m").set_memory_request("512Mi").set_memory_limit("512Mi")
        kubernetes.mount_pvc(task, pvc_name="vllm-model-cache", mount_path="/claim")
        kubernetes.mount_pvc(task, pvc_name="workbench", mount_path="/source")
        kubernetes.use_config_map_as_volume(task, config_map_name=PROGRAM, mount_path="/pvserve")
        kubernetes.set_image_pull_policy(task, "IfNotPresent")
        kubernetes.add_node_selector(task, "accelerator", "gpu")
        kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoSchedule")

    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    assert documents() == list(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))


def test_kfp_and_its_backend_s_types_know_every_field() -> None:
    loaded = components.load_component_from_text(rendered("pipeline.yaml"))
    assert set(loaded.component_spec.inputs) == {"path"}
    pipeline, platform = documents()
    json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    (executor,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_the_component_runs_by_the_local_runner(tmp_path: Path) -> None:
    source, claim = tmp_path / "source/models/granite", tmp_path / "claim"
    source.mkdir(parents=True)
    claim.mkdir()
    (source / "config.json").write_text("{}")
    (source / "weights.bin").write_bytes(bytes(1 << 20))
    module = component_of(plans.copying(), tmp_path)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "outputs"))
    given = {"source": str(source), "within": str(tmp_path / "source"), "claim_mount": str(claim), "arguments": []}
    task = module.load_model(**given)
    assert task.outputs["uri"] == "pvc://vllm-model-cache/granite-7b-lab"
    assert task.outputs["bytes"] == (1 << 20) + 2
    assert task.outputs["digest"].startswith("sha256:")
    assert task.outputs["model"].uri == task.outputs["uri"]
    assert task.outputs["model"].metadata == {"digest": task.outputs["digest"], "bytes": float((1 << 20) + 2)}
    there = [(found.path, found.size) for found in listing(claim / "granite-7b-lab").entries]
    assert there == [("config.json", 2), ("weights.bin", 1 << 20)]

    with pytest.raises(RuntimeError):
        module.load_model(**{**given, "source": str(source / "gone")})


def test_the_component_of_a_fetch_runs_by_the_local_runner(tmp_path: Path) -> None:
    shop, claim = Shop(), tmp_path / "claim"
    claim.mkdir()
    shop.files["model.bin"] = bytes(3 << 20)
    try:
        module = component_of(fetching(shop, claim), tmp_path)
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "outputs"))
        task = module.load_model()
        assert task.outputs["uri"] == task.outputs["model"].uri == "pvc://vllm-model-cache/granite"
        assert task.outputs["bytes"] == 3 << 20
        assert task.outputs["digest"].startswith("sha256:")
        assert [(found.path, found.size) for found in listing(claim / "granite").entries] == [("model.bin", 3 << 20)]

        del shop.files["model.bin"]
        with pytest.raises(RuntimeError):
            module.load_model()
    finally:
        shop.shutdown()
        shop.server_close()


@pytest.mark.parametrize("plan", [plans.copying(), plans.fetching()], ids=["copy", "fetch"])
def test_the_component_compiles_and_fits_into_a_command_line(plan: Any, tmp_path: Path) -> None:
    module = component_of(plan, tmp_path)
    compiler.Compiler().compile(module.load_model, str(tmp_path / "component.yaml"))
    made = next(yaml.safe_load_all((tmp_path / "component.yaml").read_text()))
    (executor,) = made["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == "vllm:1"
    longest = max(len(word) for word in executor["container"]["command"])
    assert longest < 131072, "MAX_ARG_STRLEN of Linux"
    assert json.dumps(made)


def test_the_component_of_a_fetch_takes_the_mounts_that_its_first_lines_name(tmp_path: Path) -> None:
    """They are run as they stand there, and give the very mounts of the pipeline to import."""
    module = component_of(plans.fetching(), tmp_path)
    lines = [line.strip() for line in module.__doc__.splitlines() if line.startswith("    ")]

    @dsl.pipeline(name="own")
    def pipeline():
        exec("\n".join(lines), {"load_model": module.load_model, "kubernetes": kubernetes})

    compiler.Compiler().compile(pipeline, str(tmp_path / "own.yaml"))
    platforms = [list(yaml.safe_load_all((tmp_path / "own.yaml").read_text()))[1], documents(plans.fetching())[1]]
    mine, imported = (
        next(iter(each["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values())) for each in platforms
    )
    for word in ("pvcMount", "secretAsVolume"):
        assert mine[word] == imported[word]
    assert mine["configMapAsVolume"] == imported["configMapAsVolume"][:1]  # there the second is the program
