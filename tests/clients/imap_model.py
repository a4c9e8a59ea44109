"""Several IMAP sessions on the same mailboxes against a model of what each client may believe.

Sessions with and without IMAP4rev2, CONDSTORE, QRESYNC, NOTIFY and IDLE do random commands at the same time, while mail is
delivered and another program changes the Maildir. At rest every client must know what there is, and must get to know
it from everything that it has ever written down. Run again beside the same description, after a restart, it begins
with what the clients knew before; some indexes are gone by then.
"""

import json
import os
import random
import sys

from imap_model_session import Wrong
from imap_model_world import World
from server import Server

ROUNDS = 8


def remove_indexes(server, rng):
    for path, _, names in os.walk(server.facts["mail_root"]):
        for name in names:
            if name == "postrider.index" and rng.random() < 0.5:
                os.unlink(os.path.join(path, name))


def main():
    server, beside = Server(sys.argv[1]), sys.argv[1] + ".model"
    memory = None
    if os.path.exists(beside):
        with open(beside, encoding="utf-8") as file:
            memory = json.load(file)
    seed = int(os.environ.get("POSTRIDER_TEST_SEED", 1)) + (1000 if memory else 0)
    rng = random.Random(seed)
    if memory:
        remove_indexes(server, rng)
    world = World(server, rng, memory)
    try:
        world.begin()
        if memory:
            world.rest()
        for _ in range(ROUNDS):
            world.round()
    except Wrong:
        print("\n".join(world.lines[-400:]))
        print(f"POSTRIDER_TEST_SEED={seed}")
        raise
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(world.memory(), file)


main()
