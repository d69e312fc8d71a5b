"""Name lookups that hang: the system's resolver is replaced by one that does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import ScriptedServer

from .conftest import Outcome, Run

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs LD_PRELOAD and a C compiler"
)

RESOLVER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    real = dlsym(RTLD_NEXT, "getaddrinfo");
    while (name && strstr(name, "hangs"))
        pause();
    if (name && strcmp(name, "answers.example") == 0)
        name = "127.0.0.1";
    return real(name, service, hints, found);
}
"""

SCRIPT = """
URL = URL.replace("127.0.0.1", "localhost")

def threads():
    found = 0
    for name in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{name}/comm") as comm:
                found += comm.read().startswith("metagpt-ollama")
        except OSError:
            pass
    return found

async def give_up(host):
    try:
        await asyncio.wait_for(AsyncClient(f"http://{host}:11434").chat("m", MESSAGES), 0.2)
    except asyncio.TimeoutError:
        return True
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resolver")
    (folder / "resolver.c").write_text(RESOLVER)
    library = folder / "resolver.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "resolver.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture(autouse=True)
def _resolver(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", str(library))


@pytest.mark.parametrize("host", ["hangs.example", "hangs{}.example"])
def test_lookups_that_were_given_up_leave_few_threads(run: Run, ollama_server: ScriptedServer, host: str) -> None:
    ollama_server.answer("Hello")
    outcome = run(
        SCRIPT
        + f"""
async def main():
    print(all(await asyncio.gather(*[give_up({host!r}.format(number)) for number in range(200)])))
    client = AsyncClient(URL)
    print((await client.chat("m", MESSAGES)).message.content, await client.version() != "")
    print(threads() <= 12)

asyncio.run(main())
print(Client(URL).chat("m", MESSAGES).message.content, threads() <= 12)
"""
    )
    assert outcome == Outcome(0, "True\nHello True\nTrue\nHello True\n")


def test_one_name_that_hangs_holds_up_no_other(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    outcome = run(
        SCRIPT
        + """
async def main():
    await asyncio.gather(*[give_up("hangs.example") for _ in range(50)])
    return (await AsyncClient(URL.replace("localhost", "answers.example")).chat("m", MESSAGES)).message.content

print(asyncio.run(main()))
"""
    )
    assert outcome == Outcome(0, "Hello\n")


def test_a_child_has_lookups_of_its_own(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    outcome = run(
        SCRIPT
        + """
async def main():
    await asyncio.gather(*[give_up(f"hangs{number}.example") for number in range(50)])

asyncio.run(main())
child = os.fork()
if child == 0:
    client = AsyncClient(URL.replace("localhost", "answers.example"))
    os._exit(asyncio.run(client.chat("m", MESSAGES)).message.content != "Hello")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert outcome == Outcome(0, "0\n")
