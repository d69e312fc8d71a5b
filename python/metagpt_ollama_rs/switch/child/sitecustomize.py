"""Runs at the start of every Python process of `metagpt-ollama run`: replaces modules of MetaGPT on import.

This folder is put first on PYTHONPATH, and Python imports `sitecustomize` by itself; if the environment has another
`sitecustomize`, it is run after this one. Most of the processes never import MetaGPT. So this file only installs two
finders, and loads nothing of this package before one of the modules is imported.

One finder finds this package, for a command whose interpreter does not have it. The other gives the modules a loader
that compiles the edited text. Its bytecode is never cached: the installation's own stays as it is. It also finds the
module of tools, `metagpt.tools.libs.slc`, where the installation has none. With `metagpt-ollama run --as-ollama` a
third one gives this package's `ollama_compat` for the module `ollama`.

Every Python that the command starts runs this file, old versions too: no syntax in it is newer than Python 3.0.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(os.path.dirname(_HERE))
_MODULES = {
    "metagpt.provider.ollama_api": "provider/ollama_api.py",
    "metagpt.configs.llm_config": "configs/llm_config.py",
    "metagpt.tools.libs": "tools/libs/__init__.py",
}
_SLC = "metagpt.tools.libs.slc"


def _install_excepthook() -> None:
    """Prints an uncaught exception that an error of this package has caused on one line.

    With `metagpt-ollama run --as-ollama` a program without MetaGPT shows its tracebacks as it does elsewhere.
    """
    before = sys.excepthook

    def report(kind, value, trace):  # type: ignore[no-untyped-def]
        # Only a process that has loaded the errors can have raised one.
        stands_in = "METAGPT_OLLAMA_AS_OLLAMA" in os.environ and "metagpt" not in sys.modules
        if "metagpt_ollama_rs.errors" in sys.modules and not stands_in:
            from metagpt_ollama_rs.switch.reporting import report_uncaught

            if report_uncaught(kind, value, trace):
                return
        before(kind, value, trace)

    sys.excepthook = report


def _install_finders(quiet) -> None:  # type: ignore[no-untyped-def]
    from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
    from importlib.util import spec_from_file_location

    class EditedModuleLoader(SourceFileLoader):
        """Loads a module of MetaGPT from its edited text."""

        def get_source(self, fullname):  # type: ignore[no-untyped-def]
            from metagpt_ollama_rs.switch.edits import edited_for_run

            return edited_for_run(_MODULES[fullname], super().get_source(fullname) or "")[0]

        def get_code(self, fullname):  # type: ignore[no-untyped-def]
            from metagpt_ollama_rs.switch.edits import edited_for_run

            text, warning = edited_for_run(_MODULES[fullname], super().get_source(fullname) or "")
            if warning:
                sys.stderr.write("metagpt-ollama: " + warning + "\n")
            code = compile(text, self.path, "exec", dont_inherit=True)
            _note_import(fullname)
            if quiet:
                from metagpt_ollama_rs.switch.reporting import strip_tracebacks_from_log

                strip_tracebacks_from_log()
            return code

    class ToolsLoader:
        @staticmethod
        def create_module(spec):  # type: ignore[no-untyped-def]
            return None

        @staticmethod
        def exec_module(module):  # type: ignore[no-untyped-def]
            from metagpt_ollama_rs.switch.edits import SLC_MODULE

            exec(SLC_MODULE, vars(module))

    def has_slc(spec) -> bool:  # type: ignore[no-untyped-def]
        """Whether this is the folder of tools, with a module of tools in it already."""
        inside = spec.submodule_search_locations
        return bool(inside) and PathFinder.find_spec(_SLC, inside) is not None

    class EditedModuleFinder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):  # type: ignore[no-untyped-def]
            if fullname == _SLC:
                # The installation's own, if it has one, whoever wrote it.
                found = PathFinder.find_spec(fullname, path)
                return found or ModuleSpec(fullname, ToolsLoader, origin="metagpt-ollama run")  # type: ignore[arg-type]
            spec = PathFinder.find_spec(fullname, path) if fullname in _MODULES else None
            if spec is not None and isinstance(spec.loader, SourceFileLoader) and not has_slc(spec):
                spec.loader = EditedModuleLoader(fullname, spec.loader.path)
            return spec

    class PackageFinder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):  # type: ignore[no-untyped-def]
            if fullname != "metagpt_ollama_rs":
                return None
            return spec_from_file_location(
                fullname, os.path.join(_PACKAGE, "__init__.py"), submodule_search_locations=[_PACKAGE]
            )

    sys.meta_path.insert(0, EditedModuleFinder)
    sys.meta_path.append(PackageFinder)


def _install_ollama_finder() -> None:
    """Gives this package's `ollama_compat` for the module `ollama`, and loads it only when that is imported."""
    from importlib.machinery import ModuleSpec

    class StandInLoader:
        @staticmethod
        def create_module(spec):  # type: ignore[no-untyped-def]
            from metagpt_ollama_rs import ollama_compat

            # Python gives the module the spec of this import, and is then told its own again.
            spec.loader_state = ollama_compat.__spec__
            return ollama_compat

        @staticmethod
        def exec_module(module):  # type: ignore[no-untyped-def]
            module.__spec__ = module.__spec__.loader_state
            module.install()
            _note_import("ollama")

    class StandInFinder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):  # type: ignore[no-untyped-def]
            if fullname != "ollama":
                return None
            origin = os.path.join(_PACKAGE, "ollama_compat", "__init__.py")
            return ModuleSpec("ollama", StandInLoader, origin=origin, is_package=True)  # type: ignore[arg-type]

        @staticmethod
        def find_distributions(context=None):  # type: ignore[no-untyped-def]
            if (getattr(context, "name", None) or "").lower() != "ollama":
                return iter(())
            from metagpt_ollama_rs.ollama_compat.stand_in import VersionFinder

            return VersionFinder().find_distributions(context)

    sys.meta_path.insert(0, StandInFinder)


def _note_import(name) -> None:  # type: ignore[no-untyped-def]
    """Tells the command that the module was imported, by a file."""
    try:
        with open(os.path.join(os.environ["METAGPT_OLLAMA_RUN"], name), "w", encoding="utf-8"):
            pass
    except (OSError, KeyError):
        pass


def _run_hidden_sitecustomize() -> None:
    """Runs the `sitecustomize` that Python would have found without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if "METAGPT_OLLAMA_RUN" in os.environ and sys.version_info >= (3, 9):
    _quiet = "METAGPT_OLLAMA_TRACEBACK" not in os.environ
    if _quiet:
        _install_excepthook()
    _install_finders(_quiet)
    if "METAGPT_OLLAMA_AS_OLLAMA" in os.environ:
        _install_ollama_finder()
_run_hidden_sitecustomize()
