"""Without prometheus-client all works but the export of metrics, which says what is missing."""

from tests.apart import run_apart

WITHOUT = "import sys\nsys.modules['prometheus_client'] = None\nimport holdfast as hf\n"


def test_policies_work_without_it():
    assert run_apart(WITHOUT + "print(hf.Pipeline.standard('p').call(len, 'ok'))") == "2\n"


def test_the_export_names_the_extra():
    said = run_apart(
        WITHOUT + "try:\n    from holdfast.telemetry.prometheus import Collector\n"
        "except hf.MissingExtraError as error:\n    print(error.extra, error)\n"
    )
    assert said.startswith(
        "prometheus holdfast.telemetry.prometheus needs the extra 'prometheus': "
    )
    assert said.endswith("pip install 'holdfast[prometheus]'\n")


def test_something_else_that_is_missing_is_not_blamed_on_the_extra(tmp_path):
    (tmp_path / "prometheus_client.py").write_text("import surely_not_there\n")
    said = run_apart(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "try:\n    import holdfast.telemetry.prometheus\n"
        "except ImportError as error:\n    print(type(error).__name__, error.name)\n"
    )
    assert said == "ModuleNotFoundError surely_not_there\n"
