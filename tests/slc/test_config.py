"""`OllamaConfig` and `ollama_config`: files in three formats, what is wrong with them, the environment, first use."""

from __future__ import annotations

import copy
import dataclasses
import logging
import operator
import os
import pickle
import subprocess
import sys
import threading

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import OllamaConfig
from metagpt_ollama_rs.slc.config import UnreadConfig

YAML = """\
llm:
  api_type: ollama
  model: llama3.2
  base_url: http://gpu-box:11434/api
  timeout: 30
  temperature: 0.5
  api_key: secret
  context_length: 8192
"""
JSON = """\
{
\t"llm": {
\t\t"api_type": "ollama", "model": "llama3.2", "base_url": "http://gpu-box:11434/v1",
\t\t"timeout": 30, "temperature": 0.5, "api_key": "secret", "context_length": 8192
\t}
}
"""
TOML = """\
[llm]
api_type = "ollama"
model = "llama3.2"
base_url = "gpu-box:11434"
timeout = 30
temperature = 0.5
api_key = "secret"
context_length = 8192
"""
READ = OllamaConfig("llama3.2", "http://gpu-box:11434", 30, 0.5, api_key="secret", context_length=8192)


def write(folder, name: str, text: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_the_defaults_are_the_guide_s():
    config = OllamaConfig()
    assert dataclasses.astuple(config)[:4] == ("qwen2.5:7b", "http://127.0.0.1:11434", 600, 0.1)
    assert config.api_key is config.context_length is config.language is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config2.yaml", YAML),
        ("config2.yml", YAML),
        ("c.json", JSON),
        ("c.toml", TOML),
        ("yaml", YAML),
        ("json", JSON),
        ("toml", TOML),
        ("c.conf", f"# a = b\n\n{TOML}"),
        ("c.txt", f"# a = b\n\n{YAML}  proxy: |\n    a = b\n"),
        ("c.yaml", JSON.replace("\t", "  ")),
        ("bom.yaml", b"\xef\xbb\xbf" + YAML.encode()),
        ("bom.json", b"\xef\xbb\xbf" + JSON.encode()),
        ("bom.toml", b"\xef\xbb\xbf" + TOML.encode()),
        ("utf16.yaml", YAML.encode("utf-16")),
        ("crlf.yaml", YAML.replace("\n", "\r\n")),
        ("crlf.toml", TOML.replace("\n", "\r\n")),
        ("top.json", JSON.split("{", 2)[2].join("{}").replace("\t}\n}\n", "", 1)),
        ("top.yaml", "\n".join(line[2:] for line in YAML.splitlines()[1:])),
        ("top.toml", TOML.replace("[llm]\n", "")),
        ("no_type.yaml", YAML.replace("  api_type: ollama\n", "")),
        ("generate.yaml", YAML.replace("ollama\n", "ollama.generate\n", 1)),
        ("more.yaml", YAML + "  proxy: http://p\n  extra_fields: {num_ctx: '1'}\nembedding:\n  model: other\n"),
    ],
)
def test_a_file_is_read(tmp_path, name, text):
    assert OllamaConfig.from_config_file(write(tmp_path, name, text)) == READ


@pytest.mark.parametrize(
    "text",
    [
        "",
        "llm:\n",
        "# nothing\n",
        "llm: {}\n",
        "llm: {model: '', timeout: 0, api_key: ''}\n",
        "embedding:\n  model: m\n",
    ],
)
def test_what_a_file_does_not_say_has_its_default(tmp_path, text):
    assert OllamaConfig.from_config_file(write(tmp_path, "c.yaml", text)) == OllamaConfig()


def test_a_file_that_is_not_there_gives_the_defaults_and_the_log_says_so(tmp_path, caplog):
    assert OllamaConfig.from_config_file(str(tmp_path / "no.yaml")) == OllamaConfig()
    assert f"{tmp_path / 'no.yaml'} is not there" in caplog.text
    caplog.clear()
    assert OllamaConfig.from_config_file() == OllamaConfig()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.yaml", "llm:\n  model: [a\n", "c.yaml, line 3, column 1: this is no YAML: "),
        ("c.yaml", "llm:\n\tmodel: a\n", "c.yaml, line 2, column 1: this is no YAML: found character '\\t'"),
        ("c.yaml", "llm:\n  timeout: 2024-02-31\n", "c.yaml is no YAML: day "),
        ("c.yaml", "- a\n- b\n", "c.yaml has no keys such as llm or model: it is list as a whole"),
        (
            "c.yaml",
            "llm: ollama\n",
            "c.yaml, line 1, column 1: llm must be a section with keys such as model, not 'ollama'",
        ),
        ("c.yaml", "llm:\n  timeout: abc\n", "c.yaml, line 2, column 3: llm.timeout must be a number, not 'abc'"),
        (
            "c.yaml",
            "llm:\n  timeout: -1\n",
            "c.yaml, line 2, column 3: llm.timeout must be a number of seconds above zero, not -1",
        ),
        ("c.yaml", "llm:\n  timeout: .nan\n", "c.yaml, line 2, column 3: llm.timeout must be a finite number, not nan"),
        ("c.yaml", "llm:\n  timeout: true\n", "c.yaml, line 2, column 3: llm.timeout must be a number, not True"),
        ("c.yaml", "llm:\n  model: 7\n", "c.yaml, line 2, column 3: llm.model must be a text, not 7"),
        ("c.yaml", "llm:\n  model: {a: 1}\n", "c.yaml, line 2, column 3: llm.model must be a text, not {'a': 1}"),
        (
            "c.yaml",
            "llm:\n  temperature: hot\n",
            "c.yaml, line 2, column 3: llm.temperature must be a number, not 'hot'",
        ),
        (
            "c.yaml",
            "llm:\n  context_length: 1.5\n",
            "c.yaml, line 2, column 3: llm.context_length must be a whole number, not 1.5",
        ),
        ("c.yaml", "llm:\n  language: fr\n", "c.yaml, line 2, column 3: llm.language must be zh or en, not 'fr'"),
        (
            "c.yaml",
            "llm:\n  base_url: http://h:99999\n",
            "c.yaml, line 2, column 3: llm.base_url: The base URL cannot be used: ",
        ),
        ("c.yaml", "llm:\n  api_key: 1234567\n", "c.yaml, line 2, column 3: llm.api_key must be a text"),
        ("c.yaml", "timeout: abc\n", "c.yaml, line 1, column 1: timeout must be a number, not 'abc'"),
        ("c.json", '{\n  "llm": {"model": "a",}\n}', "c.json, line 2, column 2"),
        (
            "c.json",
            '{\n\t"llm": {\n\t\t"timeout": "abc"\n\t}\n}',
            "c.json, line 3, column 3: llm.timeout must be a number, not 'abc'",
        ),
        ("c.json", '{"timeout": []}', "c.json, line 1, column 2: timeout must be a number, not []"),
        ("c.json", "[" * 100_000, "c.json is no JSON that can be read: it is nested too deeply"),
        ("c.toml", "[llm]\nmodel = \n", "c.toml, line 2, column 9: this is no TOML: Invalid value"),
        (
            "c.toml",
            "# c\n[llm]\nmodel = 'm'\n timeout = 'abc'\n",
            "c.toml, line 4, column 2: llm.timeout must be a number, not 'abc'",
        ),
        ("c.toml", "llm.timeout = 'abc'\n", "c.toml, line 1, column 1: llm.timeout must be a number, not 'abc'"),
        ("c.toml", "timeout = 'abc'\n", "c.toml, line 1, column 1: timeout must be a number, not 'abc'"),
        ("c.yaml", b"llm:\n  model: \xff\n", "c.yaml, line 2, column 10: this is not UTF-8: invalid start byte"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path, name, text, message):
    path = write(tmp_path, name, text)
    with pytest.raises(ConfigurationError) as caught:
        OllamaConfig.from_config_file(path)
    assert caught.value.message.startswith(f"{tmp_path}/{message}")
    assert "1234567" not in str(caught.value)


def test_a_path_may_begin_at_the_home(no_configuration):
    write(no_configuration, "tools.yaml", YAML)
    assert OllamaConfig.from_config_file("~/tools.yaml") == READ
    assert OllamaConfig.from_config_file(no_configuration / "tools.yaml") == READ


def test_a_misspelt_key_is_told_in_the_log(tmp_path, caplog):
    path = write(tmp_path, "c.json", '{"modle": "m", "max_token": 1, "time_out": 2, "timeout": 3}')
    assert OllamaConfig.from_config_file(path) == OllamaConfig(timeout=3)
    assert [record.message for record in caplog.records] == [
        f"{path}, line 1, column 2: modle is not a setting; did you mean model?"
    ]


def test_a_folder_and_a_file_that_may_not_be_read_are_told(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        OllamaConfig.from_config_file(str(tmp_path))


def test_a_section_of_another_type_is_not_taken_and_the_log_says_so(tmp_path, caplog):
    path = write(tmp_path, "c.yaml", YAML.replace("ollama\n", "openai\n", 1))
    assert OllamaConfig.from_config_file(path) == OllamaConfig()
    assert f"{path}: the llm section is of the type openai, not ollama: the tools do not use it" in caplog.text


def test_metagpt_s_files_are_found_and_the_home_s_section_counts(no_configuration, monkeypatch, caplog):
    root = no_configuration / "project"
    monkeypatch.setenv("METAGPT_PROJECT_ROOT", str(root))
    write(root, "config/config2.yaml", YAML)
    assert OllamaConfig.from_config_file() == READ
    write(no_configuration, ".metagpt/config2.yaml", "embedding: {}\n")
    assert OllamaConfig.from_config_file() == READ
    write(no_configuration, ".metagpt/config2.yaml", "llm:\n  api_type: ollama\n  model: home\n")
    assert OllamaConfig.from_config_file() == OllamaConfig("home")
    assert caplog.text == ""
    # MetaGPT takes a section without a type for OpenAI's.
    write(no_configuration, ".metagpt/config2.yaml", "llm:\n  model: gpt-4-turbo\n  api_key: sk-1\n")
    assert OllamaConfig.from_config_file() == OllamaConfig()
    assert "the llm section is of the type openai" in caplog.text


def test_without_a_root_the_current_folder_is_it(no_configuration, monkeypatch, tmp_path):
    monkeypatch.delenv("METAGPT_PROJECT_ROOT")
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "config/config2.toml", TOML)
    assert OllamaConfig.from_config_file() == READ
    write(tmp_path, "config/config2.yaml", "llm: {api_type: ollama, model: first}")
    assert OllamaConfig.from_config_file() == OllamaConfig("first")


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    path = write(tmp_path, "c.yaml", YAML)
    for name, value in {
        "OLLAMA_MODEL": "m1",
        "OLLAMA_HOST": "0.0.0.0",
        "OLLAMA_API_KEY": "k",
        "METAGPT_OLLAMA_TIMEOUT": "1.5",
    }.items():
        monkeypatch.setenv(name, value)
    config = OllamaConfig.from_config_file(path)
    assert (config.model, config.base_url, config.api_key, config.timeout) == ("m1", "http://127.0.0.1:11434", "k", 1.5)
    assert config.temperature == 0.5
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://b/v1")
    assert OllamaConfig.from_config_file(path).base_url == "http://b"
    for name, value in {"MODEL": "m2", "BASE_URL": "c", "TEMPERATURE": "0", "LANGUAGE": "zh", "TIMEOUT": ""}.items():
        monkeypatch.setenv(f"METAGPT_OLLAMA_{name}", value)
    config = OllamaConfig.from_config_file(path)
    assert (config.model, config.base_url, config.temperature) == ("m2", "http://c:11434", 0)
    assert (config.language, config.timeout) == ("zh", 30)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("METAGPT_OLLAMA_TIMEOUT", "soon", "METAGPT_OLLAMA_TIMEOUT must be a number, not 'soon'"),
        ("METAGPT_OLLAMA_TEMPERATURE", "nan", "METAGPT_OLLAMA_TEMPERATURE must be a finite number, not 'nan'"),
        ("METAGPT_OLLAMA_LANGUAGE", "fr", "METAGPT_OLLAMA_LANGUAGE must be zh or en, not 'fr'"),
        ("METAGPT_OLLAMA_BASE_URL", "ftp://h", "METAGPT_OLLAMA_BASE_URL: The base URL cannot be used"),
        ("OLLAMA_BASE_URL", "http://h:0x", "OLLAMA_BASE_URL: The base URL cannot be used"),
        ("OLLAMA_HOST", "http://h:99999", "OLLAMA_HOST: The base URL cannot be used"),
    ],
)
def test_what_is_wrong_with_a_variable_is_told_with_its_name(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        OllamaConfig.from_config_file()
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434"),
        ("gpu-box", "http://gpu-box:11434"),
        ("https://host/ollama/api/generate", "https://host/ollama"),
        ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("http://user:pass@host:1/api", "http://user:pass@host:1"),
        ("unix:///run/ollama.sock", "unix:///run/ollama.sock"),
    ],
)
def test_an_address_has_one_form(given, known):
    assert OllamaConfig(base_url=given).base_url == known


def test_values_are_checked_in_the_constructor_too():
    with pytest.raises(ConfigurationError, match="timeout must be a number, not 'abc'"):
        OllamaConfig(timeout="abc")
    with pytest.raises(ConfigurationError, match="language must be zh or en"):
        dataclasses.replace(OllamaConfig(), language="fr")
    assert OllamaConfig(timeout="30") == OllamaConfig(timeout=30)


def test_nothing_secret_is_shown():
    shown = repr(OllamaConfig(base_url="http://user:pass@host:1", api_key="secret"))
    assert "secret" not in shown
    assert "pass" not in shown
    assert "http://host:1" in shown


@pytest.fixture
def unread(no_configuration):
    write(no_configuration, "config/config2.yaml", YAML)
    return UnreadConfig.__new__(UnreadConfig)


def test_the_process_s_configuration_reads_the_file_at_its_first_use(unread, no_configuration):
    assert isinstance(unread, OllamaConfig)
    assert type(unread) is UnreadConfig
    assert unread.model == "llama3.2"
    assert type(unread) is OllamaConfig
    write(no_configuration, "config/config2.yaml", "llm: {api_type: ollama, model: later}")
    assert unread == READ


@pytest.mark.parametrize(
    "use",
    [
        lambda config: config,
        lambda config: copy.copy(config),
        lambda config: copy.deepcopy(config),
        lambda config: pickle.loads(pickle.dumps(config)),
        lambda config: dataclasses.replace(config),
        lambda config: OllamaConfig(**dataclasses.asdict(config)),
        lambda config: OllamaConfig(**vars(config)),
    ],
)
def test_it_is_an_ordinary_object_whatever_is_done_first(unread, use):
    assert use(unread) == READ
    assert repr(use(unread)) == repr(READ)
    assert type(use(unread)) is OllamaConfig


def test_it_can_be_compared_and_shown_first(no_configuration):
    write(no_configuration, "config/config2.yaml", YAML)
    for use in (
        lambda config: operator.eq(READ, config),
        lambda config: config == READ,
        lambda config: repr(config) == repr(READ),
    ):
        assert use(UnreadConfig.__new__(UnreadConfig))


def test_what_was_assigned_before_stays(unread):
    unread.model = "mine"
    assert type(unread) is UnreadConfig
    assert unread.timeout == 30
    assert unread.model == "mine"


def test_a_broken_file_is_told_at_each_use_until_it_is_mended(unread, no_configuration):
    write(no_configuration, "config/config2.yaml", "llm: [")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="line 1, column 7"):
            unread.model  # noqa: B018
    write(no_configuration, "config/config2.yaml", YAML)
    assert unread == READ


def test_many_threads_may_be_the_first(no_configuration):
    write(no_configuration, "config/config2.yaml", YAML)
    for _ in range(20):
        config = UnreadConfig.__new__(UnreadConfig)
        start = threading.Barrier(8)
        found = []

        def use(config=config, start=start, found=found):
            start.wait()
            found.append((config.model, config.timeout))

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [("llama3.2", 30)] * 8


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, timeout=30, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout


def test_importing_the_tools_reads_nothing_and_needs_nothing(no_configuration):
    write(no_configuration, "config/config2.yaml", "llm: [")
    program = """
import sys
sys.modules.update(dict.fromkeys(["yaml", "rich", "markdown_it", "pygments", "pathspec", "packaging", "tomli"]))
import metagpt_ollama_rs.slc
first = {name for name in sys.modules if name.startswith("metagpt_ollama_rs.slc.")}
from metagpt_ollama_rs.slc import *
assert isinstance(ollama_config, OllamaConfig) and not isinstance(ollama_config, str)
ollama_config.model = "m"
print(first - {"metagpt_ollama_rs.slc.metagpt_tools"}, {"metagpt"} & {name.partition(".")[0] for name in sys.modules})
"""
    assert run(program) == "set() set()\n"


def test_a_missing_parser_is_told_with_what_to_install(no_configuration):
    write(no_configuration, "config/config2.yaml", YAML)
    program = """
import sys
sys.modules["yaml"] = None
from metagpt_ollama_rs.slc import OllamaConfig, ollama_config
for use in (OllamaConfig.from_config_file, lambda: ollama_config.model):
    try:
        use()
    except ImportError as error:
        print(error.name, isinstance(error, ValueError), error)
"""
    assert run(program) == (
        "yaml True This needs the library yaml, which is not installed.\nhint: pip install 'metagpt-ollama-rs[slc]'\n"
        * 2
    )


def test_json_needs_no_other_parser(tmp_path):
    path = write(tmp_path, "c.json", '{"llm": {"timeout": "abc"}}')
    program = f"""
import sys
sys.modules["yaml"] = None
from metagpt_ollama_rs.slc import OllamaConfig
try:
    OllamaConfig.from_config_file({path!r})
except ValueError as error:
    print(error.message)
"""
    assert run(program) == f"{path}: llm.timeout must be a number, not 'abc'\n"


def test_metagpt_is_looked_for_and_not_imported(tmp_path, no_configuration):
    package = tmp_path / "metagpt"
    write(package, "__init__.py", "raise SystemExit('imported')")
    write(tmp_path, ".git", "")
    write(tmp_path, "config/config2.yaml", YAML)
    program = "from metagpt_ollama_rs.slc import ollama_config; print(ollama_config.model)"
    assert run(program, PYTHONPATH=str(tmp_path), METAGPT_PROJECT_ROOT="") == "llama3.2\n"


def test_where_there_is_no_current_folder_the_defaults_hold(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("METAGPT_PROJECT_ROOT")
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert OllamaConfig.from_config_file() == OllamaConfig()
    assert "no configuration is looked for" in caplog.text


def test_the_log_is_quiet(caplog, tmp_path):
    with caplog.at_level(logging.DEBUG):
        OllamaConfig.from_config_file(write(tmp_path, "c.yaml", YAML))
    assert caplog.text == ""
