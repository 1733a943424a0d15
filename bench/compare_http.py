#!/usr/bin/env python3
"""Measures this project's server beside the same work within a process and beside the Chroma server, in one run.

    python3 bench/compare_http.py --data ../shared/data/wordnet

makes a virtual environment under the target folder with the versions of bench/requirements-http.txt, builds `vecino` and
`vecino-bench`, and runs `vecino-bench http`, whose lines it passes on. What comes of it goes to bench/REPORT.md, into the part
"Over HTTP"; the rest of the report is that of bench/compare.py.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys

from report import HERE, ROOT, TARGET, commit, environment, keep, processor, table

HEADING = "# Over HTTP"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=pathlib.Path, required=True, help="folder of the data set")
    add("--title", help="what the data are, for the report; the folder's name by default")
    add("--base", default="base.f16.npy")
    add("--query", default="query.f32.npy")
    add("--truth", default="truth100.i32.npy", help="numbers of each query's nearest rows")
    add("--connections", type=int, default=8)
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3.0, help="of each kind of query in each round")
    add("--chroma-effort", type=int, default=100, help="Chroma's ef_search; 100 is its default")
    add("--idle", type=int, default=10_000, help="idle connections in the last measurement")
    add("--slow", type=int, default=1_000, help="slow writers in the last measurement")
    add("--no-chroma", action="store_true", help="leave Chroma out")
    return parser.parse_args()


def measure(args):
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "vecino-server", "-p", "vecino-bench"], cwd=ROOT, check=True)
    programs = TARGET / "release"
    command = [programs / "vecino-bench", "http", "--program", programs / "vecino", "--base", args.data / args.base,
               "--query", args.data / args.query, "--truth", args.data / args.truth, "--connections", args.connections,
               "--rounds", args.rounds, "--seconds", args.seconds, "--idle", args.idle, "--slow", args.slow]
    if not args.no_chroma:
        command += ["--chroma", environment("compare-http-venv", "requirements-http.txt") / "chroma", "--chroma-effort", args.chroma_effort]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(json.loads(line))
    if process.wait() != 0:
        sys.exit("vecino-bench failed")
    return lines


def report(args, lines, started, load):
    def find(what, engine):
        return next((line for line in lines if line["what"] == what and line.get("engine") == engine), None)

    head, build = lines[0], find("build", "in process")
    title = f"{args.title or args.data.resolve().name} ({head['rows']:,} x {head['columns']})"
    loads = ", ".join(f"{one:.1f}" for one in load), ", ".join(f"{one:.1f}" for one in os.getloadavg())
    text = [HEADING, "",
            "Written by `bench/compare_http.py`.", "",
            f"- Data: {title}; metric cosine, k = {find('query', 'vecino')['k']}.",
            f"- Command, from the root of the repository: `python3 bench/compare_http.py {shlex.join(sys.argv[1:])}`",
            f"- Processor: {processor()}, {os.cpu_count()} cores. "
            f"{(HERE / 'requirements-http.txt').read_text().strip().replace('==', ' ')}; vecino at {commit()}.",
            f"- Begun {started:%Y-%m-%d %H:%M} UTC, ended {datetime.datetime.now(datetime.UTC):%H:%M}. Load average "
            f"(1, 5, 15 minutes) at the start {loads[0]}, at the end {loads[1]}.", "",
            "Servers and client share the cores. The client is one for all servers: one thread with all connections, bytes of "
            "requests made beforehand, answers read and not parsed. Embeddings are lists of numbers in JSON, or floats in base64 where that is "
            "said. Within the process, a thread a core asks the engine for the same. "
            f"{args.rounds} round{'s' * (args.rounds != 1)} of {args.seconds:g} s, every kind in turn; medians. Processor time is that "
            "of the server and of the client for one query. A query names no effort: each engine's own choice (Chroma: ef_search "
            f"{args.chroma_effort}, M 16, efConstruction 200).", "",
            "## Queries", ""]
    inside, rows = find("query", "in process"), []
    rows.append(["within the process", "", f"{inside['qps']:,.0f}", "1", "", "", "", "", ""])
    for engine in ("vecino", "vecino, base64", "chroma"):
        if line := find("query", engine):
            rows.append([f"{engine}, {line['connections']} connections", f"{line['recall']:.4f}", f"{line['qps']:,.0f}",
                         f"{line['share_of_in_process']:.2f}", f"{line['vecino_to_this']:.1f}x", f"{line['p50_ms']:.2f}",
                         f"{line['p99_ms']:.2f}", f"{line['p99_to_p50']:.1f}",
                         f"{line['server_cpu_us']:.0f} + {line['client_cpu_us']:.0f}"])
    text += [table(["", "recall@10", "QPS", "share of in process", "vecino to this", "p50, ms", "p99, ms", "p99 / p50",
                    "CPU, us"], rows)]
    flood = find("query under idle and slow connections", "vecino")
    if flood:
        text += [f"With {flood['idle']:,} idle connections and {flood['slow']:,} that send a byte a second of a body: "
                 f"{flood['qps']:,.0f} QPS, p50 {flood['p50_ms']:.2f} ms, p99 {flood['p99_ms']:.2f} ms.", ""]
    rows = [["within the process, written first, then built at once", f"{head['rows'] / build['write_s']:,.0f}",
             f"{build['write_s'] + build['build_s']:.1f} (build {build['build_s']:.1f})",
             f"{(build['write_s'] + build['build_s']) / build['build_s']:.2f}",
             f"{build['write_cpu_s'] + build['build_cpu_s']:.1f}"]]
    for engine in ("vecino", "vecino, base64", "chroma"):
        if line := find("ingest", engine):
            rows.append([f"{engine}, durable batches of {line['batch']:,}", f"{line['acknowledged_per_s']:,.0f}",
                         f"{line['indexed_s']:.1f}", f"{line['indexed_s'] / build['build_s']:.2f}", f"{line['server_cpu_s']:.1f}"])
    text += ["## Ingest of all of it over one connection", "",
             table(["", "vectors/s acknowledged", "s until indexed", "times the build", "CPU of the server, s"], rows)]
    return "\n".join(text)


def main():
    args = arguments()
    started, load = datetime.datetime.now(datetime.UTC), os.getloadavg()
    lines = measure(args)
    keep(report(args, lines, started, load))


if __name__ == "__main__":
    main()
