"""The files in deploy/ fit the service, and the steps of the Dockerfile do what they should."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from panglot.cli.index import index_command, serve_command
from panglot.service.batcher import Limits

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
GRACE = Limits.seconds + 5
"""Seconds that a stop may take: those of a request, and uvicorn's own."""
OPEN = {"/live", "/ready", "/health"}
"""Routes that need no key, which the tests of the service check."""


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8")).replace("\\\n", " ")
    parts = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name, re.sub(r"\s+", " ", rest)) for name, rest in parts]


def final() -> dict[str, str]:
    """Return the instructions of the last stage."""
    found = instructions()
    begin = max(at for at, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[begin:])


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def options(words: list[str], command: str) -> dict[str, Any]:
    """Return the parameters of `panglot serve` or `panglot index` in a command line, or fail if it is wrong."""
    assert words[0] == command
    known = {"serve": serve_command, "index": index_command}[command]
    found = dict(known.make_context(command, words[1:], resilient_parsing=False).params)
    if command == "serve":
        (found["index"],) = map(Path, found["indexes"])
    return found


def test_the_image_serves_its_volume_as_a_user_without_rights() -> None:
    image = final()
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert [stage.split()[0] for stage in stages] == ["python:3.12-slim-bookworm"] * 2
    assert int(image["USER"]) > 0
    assert json.loads(image["ENTRYPOINT"]) == ["panglot"]
    asked = options(json.loads(image["CMD"]), "serve")
    assert str(asked["index"]).startswith(image["VOLUME"])
    assert (asked["host"], asked["port"]) == ("0.0.0.0", int(image["EXPOSE"]))
    (address,) = re.findall(r"http://127.0.0.1:(\d+)(/\w+)", image["HEALTHCHECK"])
    assert (address[0], address[1] in OPEN) == (image["EXPOSE"], True)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                path = source.removeprefix("./")
                assert (ROOT / path).exists()
                assert any(fnmatch(path, pattern) for pattern in kept)


def test_compose_waits_for_milvus_and_gives_requests_time_to_end() -> None:
    (compose,) = documents("compose.yaml")
    service, index = compose["services"]["panglot"], compose["services"]["index"]
    asked = options(service["command"], "serve")
    written = options([*index["entrypoint"][1:], *index["command"]], "index")
    assert asked["index"] == written["output"]
    assert re.fullmatch(r"milvus://milvus:19530/\w+", written["store"])
    assert service["ports"] == [f"127.0.0.1:{asked['port']}:{asked['port']}"]
    assert str(asked["keys"]) == "/run/secrets/keys"
    assert set(service["secrets"]) <= set(compose["secrets"])
    assert int(service["stop_grace_period"].removesuffix("s")) >= GRACE
    for each in (service, index):
        assert each["depends_on"]["milvus"]["condition"] == "service_healthy"
        assert (ROOT / "deploy" / each["build"]["context"] / each["build"]["dockerfile"]).resolve().is_file()
        mounted = [volume.split(":")[0] for volume in each["volumes"]]
        assert {name for name in mounted if not name.startswith(".")} <= set(compose["volumes"])


def test_kubernetes_asks_the_routes_that_need_no_key() -> None:
    claim, deployment, service, budget = documents("kubernetes.yaml")
    (job,) = documents("kubernetes-index.yaml")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    asked = options(container["args"], "serve")
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports["http"] == asked["port"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in OPEN
        assert container[probe]["httpGet"]["port"] in ports
    # Kubernetes must not restart a service that is only busy.
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["spec"]["terminationGracePeriodSeconds"] >= wait + GRACE
    assert service["spec"]["ports"][0]["targetPort"] in ports
    for selected in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"],
                     budget["spec"]["selector"]["matchLabels"]):  # fmt: skip
        assert selected.items() <= pod["metadata"]["labels"].items()
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]
    written = job["spec"]["template"]["spec"]
    assert options(written["containers"][0]["args"], "index")["output"] == asked["index"]
    for spec in (pod["spec"], written):
        assert str(spec["securityContext"]["runAsUser"]) == final()["USER"]
        assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
        paths = {each["mountPath"] for each in spec["containers"][0]["volumeMounts"]}
        assert paths == {final()["VOLUME"], "/tmp"}


def test_the_systemd_unit_is_one(tmp_path: Path) -> None:
    text = (DEPLOY / "panglot.service").read_text("utf-8")
    values = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
    words = shlex.split(values["ExecStart"])
    assert options(words[1:], "serve")["port"] == 8080
    assert int(values["TimeoutStopSec"]) >= GRACE
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "panglot"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "panglot.service"
    unit.write_text(text.replace(words[0], str(program)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "panglot" in line]) == (0, [])


def readable_python(root: Path) -> dict[str, str]:
    """Return the variables that find a Python that the image's user may run: this one, or a copy if it is in /root."""
    prefix = Path(sys.base_prefix)
    if not all(parent.stat().st_mode & 0o005 == 0o005 for parent in (prefix, *prefix.parents)):
        left_out = shutil.ignore_patterns("site-packages", "test", "__pycache__", "*.a")
        prefix = shutil.copytree(prefix, root / "python", symlinks=True, ignore=left_out)
    return {"PATH": f"{prefix}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{prefix}/lib"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Carry out the steps of the Dockerfile below a folder instead of /, and return it with the image's environment."""
    root = tmp_path_factory.mktemp("image")
    root.chmod(0o755)
    environment = {**readable_python(root), "HOME": str(root)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    # Where the index of CPU builds cannot be reached, the build of torch is the one that pip finds elsewhere.
    environment["PIP_RETRIES"] = "0"
    here = root

    def below(text: str) -> str:
        return re.sub(r"(?<![\w.:/])/(opt|source|data)\b", rf"{root}/\1", text)

    for name, rest in instructions():
        if name == "ENV":
            for pair in shlex.split(below(rest)):
                key, _, value = pair.partition("=")
                environment[key] = os.path.expandvars(value.replace("$PATH", environment["PATH"]))
        elif name == "WORKDIR":
            here = Path(below(rest))
            here.mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                place = here / target / ("" if target.endswith("/") and (ROOT / source).is_dir() else source)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, here / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, place)
        elif name == "RUN" and not rest.startswith("useradd"):
            subprocess.run(below(rest), shell=True, cwd=here, env=environment, check=True)
    return root, environment


@pytest.fixture
def served(built: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """Index two documents and serve them, as the image's user if this is root."""
    root, environment = built
    data = root / "data"
    data.mkdir(exist_ok=True)
    rows = [
        {"id": "1", "text": "Click Print to print the sheet."},
        {"id": "2", "text": "Choose Save to keep the file."},
    ]
    (data / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    image = final()
    user: list[str] = []
    if os.geteuid() == 0 and shutil.which("setpriv"):
        os.chown(data, int(image["USER"]), -1)
        for parent in (tmp_path, *root.parents):
            if parent.is_relative_to(Path("/tmp")) and parent != Path("/tmp"):
                parent.chmod(0o755)
        user = ["setpriv", f"--reuid={image['USER']}", f"--regid={image['USER']}", "--clear-groups"]
    environment = {**environment, "HOME": str(data)}
    program = str(root / "opt/panglot/bin/panglot")

    def command(words: list[str]) -> list[str]:
        return [*user, program, *(re.sub(r"^/data\b", str(data), word) for word in words)]

    made = command(["index", "/data/documents.jsonl", "--output", "/data/index"])
    subprocess.run(made, cwd=data, env=environment, check=True)
    assert (data / "index").stat().st_uid == (int(image["USER"]) if user else os.geteuid())
    words = json.loads(image["CMD"])
    process = subprocess.Popen(command(words), cwd=data, env=environment, text=True, stderr=subprocess.PIPE)
    yield process, environment
    process.kill()


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_make_a_service_that_its_health_check_finds(
    served: tuple[subprocess.Popen[str], Any],
) -> None:
    process, environment = served
    assert process.stderr is not None
    for line in process.stderr:
        if "panglot serves at" in line:
            break
    check = json.loads(final()["HEALTHCHECK"].partition("CMD ")[2])
    found = subprocess.run(check, env=environment, check=False)
    assert found.returncode == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert subprocess.run(check, env=environment, capture_output=True, check=False).returncode != 0
