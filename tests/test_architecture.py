"""The rooms of the library: who may import whom, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "course_lib"

# Room -> the rooms it may import. CONTRIBUTING says what each does. A new room gets a line here.
ARROWS = {
    "machine": set(),
    "cluster": set(),
    "launch": {"cluster"},
    "runtime": {"machine", "cluster"},
    "replicas": set(),
    "scaling": {"machine"},
    "datasets": {"runtime"},
    "networks": {"replicas"},
    "losses": {"replicas"},
    "array_files": set(),
    "checkpoints": {"array_files"},
    "shipped": {"networks", "checkpoints", "runtime"},
    "features": {"shipped", "networks", "datasets"},
    "metrics": set(),
    "gaussians": set(),
    "memorisation": set(),
    "inception": {"metrics", "runtime", "datasets"},
    "plots": set(),
    "theory": set(),
    "microscope": set(),
    "attribution": set(),
    "adversarial": set(),
    "convolution": set(),
    "diffaugment": {"replicas"},
    "steps": {"losses", "diffaugment", "replicas"},
    "latent_space": set(),
    "steering": {"features", "latent_space", "datasets", "shipped"},
    "session_files": set(),
    "studio": {"latent_space", "session_files"},
    "augment": set(),
    "classify": {"augment", "steps"},
    "progress": {"checkpoints"},
    "diagnosis": set(),
    "lab_settings": {"losses", "datasets"},
    "lab_machine": {"lab_settings", "networks", "steps", "losses", "checkpoints"},
    "laboratory": {"lab_machine", "lab_settings", "metrics"},
    "slow_motion": {"losses"},
    "health": {"steps", "losses", "features", "metrics"},
    "descent": set(),
    "style": {"descent"},
    "colours": set(),
    "style_settings": {"style", "datasets", "session_files"},
    "style_session": {"style_settings", "style", "descent", "datasets"},
    "style_steps": {"steps", "style"},
    "fast_style": {"style", "style_steps", "descent"},
    "train": {
        "runtime",
        "checkpoints",
        "progress",
        "cluster",
        "replicas",
    },  # is handed the step: never imports steps
    "widgets": {
        "plots",
        "runtime",
        "networks",
        "losses",
        "steps",
        "metrics",
        "datasets",
        "style",
        "fast_style",
        "laboratory",
        "lab_settings",
        "theory",
        "gaussians",
        "convolution",
        "slow_motion",
        "diagnosis",
        "classify",
        "microscope",
        "adversarial",
        "health",
        "studio",
        "session_files",
        "style_settings",
        "style_session",
        "latent_space",
        "scaling",
    },  # fmt: skip
    "checks": {"losses", "metrics", "lab_settings", "laboratory", "diagnosis"},
    "publish": {"runtime"},
    "__init__": {"runtime"},
    "__main__": {"runtime"},
}
# These work with NumPy alone, so that they can be tested, and used, without TensorFlow.
WITHOUT_TENSORFLOW = [
    "metrics",
    "plots",
    "theory",
    "gaussians",
    "memorisation",
    "convolution",
    "colours",
    "array_files",
    "checkpoints",
    "session_files",
    "publish",
    "launch",
    "scaling",
    "__init__",
]
WITHOUT_TENSORFLOW += ["datasets/__init__", "datasets/avatars", "datasets/images"]
WITHOUT_TENSORFLOW += [
    "datasets/paintings",
    "widgets/engine",
    "datasets/strokes",
    "datasets/points",
    "widgets/canvas",
]

FILES = sorted(path.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py"))


def _room(path: Path) -> str:
    """The name of the file, or of the folder that it is in."""
    return path.parts[0].removesuffix(".py")


def _imports(source: str, *, package: tuple[str, ...] = ()) -> set[str]:
    """Full names of all modules imported anywhere in a source, inside functions as well.

    `from a import b` counts as a and a.b, since b may be a module.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            if node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return found


def _of_file(path: Path) -> set[str]:
    package = ("course_lib", *path.parts[:-1])
    return _imports((LIBRARY / path).read_text(encoding="utf-8"), package=package)


def _rooms(modules: set[str]) -> set[str]:
    """The rooms among these modules."""
    inside = {name.split(".")[1] for name in modules if name.startswith("course_lib.")}
    return inside & (set(ARROWS) | {_room(path) for path in FILES})


def test_every_room_is_in_the_table():
    assert {_room(path) for path in FILES} - set(ARROWS) == set()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_imports_only_the_rooms_that_its_arrows_allow(path):
    room = _room(path)
    assert _rooms(_of_file(path)) - {room} <= ARROWS[room]


def test_the_arrows_have_no_circle():
    open_rooms = dict(ARROWS)
    while open_rooms:
        ready = {room for room, needs in open_rooms.items() if not needs & set(open_rooms)}
        assert ready, f"these rooms import each other: {sorted(open_rooms)}"
        open_rooms = {room: needs for room, needs in open_rooms.items() if room not in ready}


@pytest.mark.parametrize(
    "source, found",
    [
        ("from course_lib import steps", "steps"),
        ("import course_lib.steps as s", "steps"),
        ("def f():\n    from course_lib.steps import make_gan_step", "steps"),
        ("from ..steps import x", "steps"),
        ("from .. import steps", "steps"),
        ("import importlib\nimportlib.import_module('course_lib.steps')", "steps"),
    ],
)
def test_every_way_to_import_a_room_is_seen(source, found):
    assert found in _rooms(_imports(source, package=("course_lib", "checks")))


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_a_room_that_needs_no_tensorflow_never_imports_it(name):
    tops = {module.split(".")[0] for module in _of_file(Path(f"{name}.py"))}
    assert not tops & {"tensorflow", "keras"}


def test_the_library_imports_nothing_from_tests_or_from_notebook_servers():
    for path in FILES:
        tops = {module.split(".")[0] for module in _of_file(path)}
        assert not tops & {"tests", "pytest", "jupyterlab", "playwright", "torch"}, path


def test_importing_the_package_imports_no_library_and_takes_a_tenth_of_a_second():
    code = (
        "import sys, time; start = time.process_time(); import course_lib; "
        "print(time.process_time() - start); "
        "print({'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, modules = zip(*(run.stdout.split("\n")[:2] for run in runs), strict=True)
    assert set(modules) == {"set()"}
    assert min(map(float, seconds)) < 0.1


def test_the_package_re_exports_nothing():
    tree = ast.parse((LIBRARY / "__init__.py").read_text(encoding="utf-8"))
    imported = [alias for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)
                for alias in node.names]  # fmt: skip
    assert all((alias.asname or alias.name).startswith("_") for alias in imported)


def test_the_checks_come_without_tensorflow():
    code = (
        "import sys; from course_lib import checks; checks.names(); print('keras' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
