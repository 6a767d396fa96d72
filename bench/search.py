"""Searching a domain through `Profiles.search`, beside FAISS's own loop and a plain numpy scan, in one run.

The domain is real: sealed rows in SQLite, read and opened into the index as a server does at its first search. The
voices are drawn at random around as many centers as there are people, as embeddings of people lie.

    python bench/search.py [--sizes 1000,100000,1000000] [--searches 50] [--int8-above 100000]
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import anyio
import faiss
import numpy as np
import numpy.typing as npt

from carillon import config
from carillon.clock import SystemClock
from carillon.data_folder import DataFolder, opened
from carillon.profiles import BulkProfiles, OpenVoice, Profiles, ProfileSettings
from carillon.profiles.enrolled_voices import sealed_row
from carillon.profiles.sealing import seal
from carillon.profiles.tables import domains, enrolled_voices, voice_profiles
from carillon.telemetry import configure_logging

DIMENSIONS: Final = 256
LIMIT: Final = 10
FAISS_BAR: Final = 1.1
FAISS_BAR_SIZE: Final = 100_000
RECALL_BAR: Final = 0.9995
VISIBLE_BAR_MS: Final = 10.0
MODEL: Final = "wespeaker-resnet34-lm"
KEY_ARN: Final = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
_PAGE: Final = 5_000
_UPDATES: Final = 20

Vectors = npt.NDArray[np.float32]


def main() -> int:
    """Print the figures beside their bars; fail if one misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--int8-above", type=int, default=ProfileSettings().int8_above)
    options = parser.parse_args()
    configure_logging("warning", "json")
    sizes = map(int, options.sizes.split(","))
    results = [anyio.run(measure, size, options.searches, options.int8_above) for size in sizes]
    return int(not all(results))


async def measure(size: int, searches: int, int8_above: int) -> bool:
    """Measure one size of domain."""
    generator = np.random.default_rng(size)
    voices = unit(generator.standard_normal((size, DIMENSIONS), dtype=np.float32))
    probes = unit(voices[generator.integers(size, size=searches)] + 0.05 * generator.standard_normal((searches, 256)))
    with tempfile.TemporaryDirectory() as folder:
        settings = config.load(Path(folder), environment={})
        async with opened(settings) as data_folder:
            chosen = replace(settings.profiles, int8_above=int8_above)
            parts = (data_folder.database, data_folder.vault, settings.account, SystemClock(), chosen)
            async with Profiles(*parts) as profiles:
                domain_id = (await profiles.create_domain("bench", None, KEY_ARN)).id
                await fill(data_folder, domain_id, voices)
                before, began = memory_mb(), time.perf_counter()
                await profiles.warm(domain_id)
                build, held = time.perf_counter() - began, memory_mb() - before
                flat = faiss.IndexScalarQuantizer(DIMENSIONS, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
                flat.add(voices)
                faiss.omp_set_num_threads(1)
                ours, theirs, found = [], [], []
                for probe in probes:  # in turns, since whatever else a machine does comes and goes
                    began = time.perf_counter()
                    matches = await profiles.search(domain_id, probe, MODEL, LIMIT)
                    ours.append(time.perf_counter() - began)
                    theirs.append(timed(lambda probe: flat.search(probe[None], LIMIT), probe[None]))
                    found.append({int(match.profile_id.removeprefix("vp-")) for match in matches})
                created, deleted = await update(BulkProfiles(*parts), profiles, domain_id, generator)
    plain = timed(lambda probe: np.argpartition(voices @ probe, -LIMIT)[-LIMIT:], probes[: max(5, searches // 10)])
    exact = [set(np.argpartition(voices @ probe, -LIMIT)[-LIMIT:].tolist()) for probe in probes]
    recall = float(np.mean([len(one & other) / LIMIT for one, other in zip(found, exact, strict=True)]))
    bare = median(theirs)
    ratio = median(ours) / bare
    print(
        f"{size:>9,} voices  search {median(ours) * 1000:7.2f} ms  FAISS {bare * 1000:7.2f} ms ({ratio:.2f} x)  "
        f"numpy {plain * 1000:7.2f} ms  recall@10 {recall:.4f}\n"
        f"{'':17}  build {build:6.1f} s  memory {held:6.0f} MB  "
        f"created visible after {created * 1000:.1f} ms, deleted after {deleted * 1000:.1f} ms (medians)"
    )
    is_slow = size >= FAISS_BAR_SIZE and ratio > FAISS_BAR
    return not is_slow and recall >= RECALL_BAR and max(created, deleted) * 1000 < VISIBLE_BAR_MS


async def unnoted(*_: object) -> None:
    """Write no audit row: nobody's voice is enrolled."""


async def fill(data_folder: DataFolder, domain_id: str, voices: Vectors) -> None:
    """Write sealed rows, without the speech behind them."""
    async with data_folder.database.reading() as connection:
        key = (await connection.execute(domains.select())).one().data_key
    now, speech = datetime.now(UTC), np.zeros(1, np.int16)
    expires_at = now + timedelta(days=1)
    for start in range(0, len(voices), _PAGE):
        profiles, rows = [], []
        for number in range(start, min(start + _PAGE, len(voices))):
            profile_id = f"vp-{number}"
            sealed = seal(data_folder.vault, key, sealed_row(profile_id), voices[number], speech)
            profiles.append(
                {
                    "number": number + 1,
                    "profile_id": profile_id,
                    "domain_id": domain_id,
                    "enrolled_task_id": profile_id,
                    "created_at": now,
                    "updated_at": now,
                    "expires_at": expires_at,
                }
            )
            rows.append(
                {
                    "number": number + 1,
                    "profile_number": number + 1,
                    "domain_id": domain_id,
                    "label": "",
                    "band": "tel",
                    "model_id": MODEL,
                    "revision": start // _PAGE + 1,
                    "expires_at": expires_at,
                    "embedding": sealed.embedding,
                }
            )
        async with data_folder.database.transaction() as connection:
            await connection.execute(voice_profiles.insert(), profiles)
            await connection.execute(enrolled_voices.insert(), rows)
            await connection.execute(domains.update().values(revision=start // _PAGE + 1))


async def update(
    bulk: BulkProfiles, profiles: Profiles, domain_id: str, generator: np.random.Generator
) -> tuple[float, float]:
    """Return how long after a commit the next search sees a new profile, and no longer sees a deleted one: medians.

    What a search of that domain takes anyway is not counted.
    """
    created, deleted = [], []
    for _ in range(_UPDATES):
        voice = unit(generator.standard_normal((1, DIMENSIONS), dtype=np.float32))[0]
        opened = OpenVoice("", "tel", MODEL, voice, None, np.zeros(16_000, np.int16))
        made = await bulk.enroll(domain_id, opened, unnoted)
        began = time.perf_counter()
        await profiles.warm(domain_id)  # what the next search does before it searches
        created.append(time.perf_counter() - began)
        assert (await profiles.search(domain_id, voice, MODEL, 1))[0].profile_id == made.id
        await profiles.delete_profile(made.id)
        began = time.perf_counter()
        await profiles.warm(domain_id)
        deleted.append(time.perf_counter() - began)
        assert (await profiles.search(domain_id, voice, MODEL, 1))[0].profile_id != made.id
    return median(created), median(deleted)


def timed(search: Callable[[Vectors], object], probes: Vectors) -> float:
    """Return the median time of a search, in seconds."""
    seconds = []
    for probe in probes:
        began = time.perf_counter()
        search(probe)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Return vectors of L2 norm 1."""
    normed: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return normed


def memory_mb() -> float:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
