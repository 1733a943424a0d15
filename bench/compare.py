#!/usr/bin/env python3
"""Measures this project's indexes beside other libraries, on the same data and in the same run.

    python3 bench/compare.py --data ../shared/data/wordnet

makes a virtual environment under the target folder with the versions of bench/requirements.txt, builds `vecino-bench`, and
measures every engine at each effort in turn, several rounds long. The medians go to bench/REPORT.md and bench/report-hnsw.svg.
Speed is in queries per second of processor time of the one thread that searches.
"""

import argparse
import datetime
import gzip
import json
import math
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from report import HERE, ROOT, TARGET, commit, environment, keep, processor, table

TARGETS = (0.90, 0.95, 0.99)
COLOURS = ("#c0392b", "#2e6fbf", "#2c8c4f", "#8d5fb5", "#c77f14", "#4c4c4c", "#16848c")


def enter_environment():
    """Goes on inside the environment of its own."""
    programs = environment("compare-venv", "requirements.txt")
    if pathlib.Path(sys.prefix).resolve() != programs.parent:
        python = programs / "python"
        os.execv(python, [python, __file__, *sys.argv[1:]])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=pathlib.Path, required=True, help="folder of the data set")
    add("--title", help="what the data are, for the report; the folder's name by default")
    add("--base", default="base.f16.npy")
    add("--query", default="query.f32.npy")
    add("--truth", default="truth100.i32.npy", help="numbers of each query's nearest rows; computed when there is no such file")
    add("--metric", default="cos", choices=("cos", "l2", "ip"))
    add("--efforts", default="10,16,24,32,48,64,96,128,192,256")
    add("--rounds", type=int, default=3)
    add("--threads", type=int, default=2, help="threads of the builds")
    add("--m", type=int, default=16)
    add("--ef-construction", type=int, default=200)
    add("--engines", help="names, with commas between; all by default")
    add("--meta", help="metadata in the data folder, JSON lines in row order (.gz allowed)")
    add("--filter", nargs="*", default=[], metavar="FIELD=VALUE")
    add("--filter-efforts", default="10,32,64,128")
    add("--filter-queries", type=int, default=300, help="the first so many queries are filtered")
    add("--callbacks", action="store_true", help="filters of hnswlib too, which are Python callbacks and slow")
    add("--more", action="store_true", help="flat, LSH, IVF and KD-tree as well")
    add("--out", type=pathlib.Path, default=HERE, help="folder of REPORT.md and report-hnsw.svg")
    args = parser.parse_args()
    if args.filter and not args.meta:
        parser.error("--filter needs --meta")
    return args


class Ours:
    """This project, through `vecino-bench rpc`."""

    def __init__(self, bench, data, args, folder):
        self.args, self.folder, self.data = args, folder, data
        self.process = subprocess.Popen([bench, "rpc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer

    def build(self):
        args = self.args
        meta = {"meta": str(args.data / args.meta)} if args.meta else {}
        answer = self.tell(cmd="build", base=str(args.data / args.base), metric=args.metric, threads=args.threads, index="hnsw",
                           m=args.m, ef_construction=args.ef_construction, **meta)
        self.bytes_per_vector = answer["bytes_per_vector"]
        return answer["build_s"], answer["build_cpu_s"]

    def search(self, queries, effort, chosen=None):
        queries_file, out = self.folder / f"queries-{len(queries)}.npy", self.folder / "answers.npy"
        if not queries_file.exists():
            self.data.np.save(queries_file, queries)
        answer = self.tell(cmd="search", queries=str(queries_file), out=str(out), k=10, threads=1, effort=effort,
                           filter=chosen and [chosen.field, chosen.value])
        return self.data.np.load(out), answer["search_cpu_s"]

    filters = True


def timed(search):
    """The answer, and the processor seconds of this thread; those of the process when others had a part in it."""
    thread, process = time.thread_time(), time.process_time()
    answer = search()
    thread, process = time.thread_time() - thread, time.process_time() - process
    return answer, process if process > thread * 1.1 + 0.002 else thread


class Peer:
    """A library that is called in this process."""

    filters = False

    def __init__(self, data, args):
        self.data, self.args = data, args

    def build(self):
        wall, cpu = time.perf_counter(), time.process_time()
        self.make()
        return time.perf_counter() - wall, time.process_time() - cpu


class Hnswlib(Peer):
    def make(self):
        import hnswlib

        space = "l2" if self.args.metric == "l2" else "ip"
        self.index = hnswlib.Index(space, self.data.base.shape[1])
        self.index.init_index(len(self.data.base), M=self.args.m, ef_construction=self.args.ef_construction)
        self.index.add_items(self.data.base, num_threads=self.args.threads)
        self.filters = self.args.callbacks

    def search(self, queries, effort, chosen=None):
        self.index.set_ef(effort)
        allowed = chosen and chosen.mask.__getitem__
        return timed(lambda: self.index.knn_query(queries, k=10, num_threads=1, filter=allowed)[0])


class Faiss(Peer):
    filters = True
    kind = "flat"

    def make(self):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(self.args.threads)
        metric = faiss.METRIC_L2 if self.args.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        dimension = self.data.base.shape[1]
        if self.kind == "hnsw":
            self.index = faiss.IndexHNSWFlat(dimension, self.args.m, metric)
        elif self.kind == "sq8":
            self.index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, self.args.m, metric)
        else:
            self.index = faiss.IndexFlat(dimension, metric)
        if self.kind != "flat":
            self.index.hnsw.efConstruction = self.args.ef_construction
        self.index.train(self.data.base)
        self.index.add(self.data.base)

    def search(self, queries, effort, chosen=None):
        faiss = self.faiss
        faiss.omp_set_num_threads(1)
        params = faiss.SearchParameters() if self.kind == "flat" else faiss.SearchParametersHNSW(efSearch=effort)
        if chosen:
            params.sel = faiss.IDSelectorBitmap(chosen.bits)
        return timed(lambda: self.index.search(queries, 10, params=params)[1])


class FaissHnsw(Faiss):
    kind = "hnsw"


class FaissSq8(Faiss):
    kind = "sq8"


class Usearch(Peer):
    dtype = "f32"

    def make(self):
        from usearch.index import Index

        metric = {"cos": "cos", "l2": "l2sq", "ip": "ip"}[self.args.metric]
        self.index = Index(ndim=self.data.base.shape[1], metric=metric, dtype=self.dtype, connectivity=self.args.m,
                           expansion_add=self.args.ef_construction)
        self.index.add(self.data.np.arange(len(self.data.base)), self.data.base, threads=self.args.threads)

    def search(self, queries, effort, chosen=None):
        self.index.expansion_search = effort
        return timed(lambda: self.index.search(queries, 10, threads=1).keys)


class UsearchI8(Usearch):
    dtype = "i8"


class SvsLvq8(Peer):
    """Vamana over locally adaptive 8-bit codes, its graph of as many links as the base layers of the others have."""

    def __init__(self, data, args, folder):
        super().__init__(data, args)
        self.file = folder / "rows.fvecs"

    def make(self):
        import svs

        distance = svs.DistanceType.L2 if self.args.metric == "l2" else svs.DistanceType.MIP
        rows = svs.VectorDataLoader(str(self.file), svs.DataType.float32)
        params = svs.VamanaBuildParameters(alpha=1.2 if self.args.metric == "l2" else 0.95, graph_max_degree=2 * self.args.m,
                                           window_size=self.args.ef_construction)
        # What a processor lacks for the quick layout of codes is told by an error.
        for strategy in (svs.LVQStrategy.Turbo, svs.LVQStrategy.Auto):
            try:
                codes = svs.LVQLoader(rows, primary=8, residual=0, strategy=strategy)
                self.index = svs.Vamana.build(params, codes, distance, num_threads=self.args.threads)
                break
            except Exception as error:  # the library's own type is not exported
                print(f"svs: {strategy}: {error}", flush=True)
        self.index.num_threads = 1

    def build(self):
        np = self.data.np
        # It reads rows from a file, which is made before the clock starts.
        base = self.data.base
        lengths = np.full((len(base), 1), base.shape[1], np.int32).view(np.float32)
        np.hstack([lengths, base]).tofile(self.file)
        return super().build()

    def search(self, queries, effort, chosen=None):
        self.index.search_window_size = effort
        return timed(lambda: self.index.search(queries, 10)[0].astype(self.data.np.int64))


class Data:
    """The rows and queries as the peers get them: floats, of unit length under cosine."""

    def __init__(self, args):
        import numpy as np

        self.np = np
        self.base, self.queries = self.matrix(args.data / args.base), self.matrix(args.data / args.query)
        self.args = args
        if args.metric == "cos":
            for rows in (self.base, self.queries):
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        truth = args.data / args.truth
        everything = np.ones(len(self.base), bool)
        self.truth = np.load(truth)[:, :10] if truth.exists() else self.exact(self.queries, everything)

    def matrix(self, path):
        np = self.np
        if path.suffix == ".npy":
            return np.ascontiguousarray(np.load(path), dtype=np.float32)
        width = {".fvecs": 4, ".bvecs": 1}[path.suffix]
        raw = np.fromfile(path, np.uint8)
        dimension = int(raw[:4].view(np.int32)[0])
        elements = np.ascontiguousarray(raw.reshape(-1, 4 + dimension * width)[:, 4:])
        return elements.astype(np.float32) if width == 1 else elements.view(np.float32)

    def exact(self, queries, mask):
        np = self.np
        rows = np.flatnonzero(mask)
        some = self.base[rows]
        lengths = (some.astype(np.float64) ** 2).sum(1) / 2 if self.args.metric == "l2" else 0
        return np.array([rows[np.argsort(lengths - some @ query, kind="stable")[:10]] for query in queries])

    def recall(self, answers, truth):
        found = sum(len(set(answer) & set(true)) for answer, true in zip(answers.tolist(), truth.tolist()))
        return found / truth.size


class Filter:
    def __init__(self, text, records, data):
        np = data.np
        self.text = text
        self.field, value = text.split("=", 1)
        try:
            self.value = json.loads(value)
        except ValueError:
            self.value = value
        self.mask = np.array([record.get(self.field) == self.value for record in records])
        self.bits = np.packbits(self.mask, bitorder="little")


def sweep(engines, efforts, rounds, queries, truth, data, chosen=None):
    """For each engine its points: effort, recall, queries per second."""
    curves = {name: [] for name in engines}
    for effort in efforts:
        times, recalls = {name: [] for name in engines}, {}
        for turn in range(rounds):
            # Each round begins with another engine.
            names = list(engines)
            names = names[turn % len(names):] + names[:turn % len(names)]
            for name in names:
                answers, seconds = engines[name].search(queries, effort, chosen)
                times[name].append(seconds)
                recalls[name] = data.recall(answers, truth)
        for name in engines:
            point = (effort, recalls[name], len(queries) / statistics.median(times[name]))
            curves[name].append(point)
            print(f"{name:16} {chosen.text if chosen else '':12} effort {effort:4}: recall {point[1]:.4f}, {point[2]:9,.0f} QPS",
                  flush=True)
    return curves


def speed_at(curve, target):
    """Queries per second at a recall, log-linear between the points that are not beaten in both; with how it is known."""
    front = [point for point in curve if not any(o[1] >= point[1] and o[2] > point[2] for o in curve)]
    front.sort(key=lambda point: point[1])
    if front[-1][1] < target:
        return None, "-"
    if front[0][1] >= target:
        return front[0][2], f">= {front[0][2]:,.0f}"
    for low, high in zip(front, front[1:]):
        if low[1] < target <= high[1]:
            share = (target - low[1]) / (high[1] - low[1])
            speed = math.exp(math.log(low[2]) * (1 - share) + math.log(high[2]) * share)
            return speed, f"{speed:,.0f}"
    return None, "-"


def plot(curves, title):
    """An SVG: recall to the right, speed upwards on a logarithmic scale."""
    points = [point for curve in curves.values() for point in curve if point[1] >= 0.8]
    low, high = math.floor(min(p[1] for p in points) * 50) / 50, 1.0
    bottom, top = math.log10(min(p[2] for p in points) * 0.9), math.log10(max(p[2] for p in points) * 1.1)

    def x(recall):
        return 70 + (recall - low) / (high - low) * 560

    def y(speed):
        return 370 - (math.log10(speed) - bottom) / (top - bottom) * 320

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 430" font-family="sans-serif" font-size="12">',
           '<rect width="800" height="430" fill="white"/>', f'<text x="70" y="28" font-size="14">{title}</text>']
    for step in range(round((high - low) * 50) + 1):
        at = low + step / 50
        out.append(f'<path d="M{x(at):.1f} 50V370" stroke="#ddd"/><text x="{x(at):.1f}" y="388" text-anchor="middle">{at:.2f}</text>')
    for power in range(1, 7):
        for digit in (1, 2, 5):
            speed = digit * 10**power
            if bottom <= math.log10(speed) <= top:
                out.append(f'<path d="M70 {y(speed):.1f}H630" stroke="#ddd"/>'
                           f'<text x="64" y="{y(speed) + 4:.1f}" text-anchor="end">{speed:,}</text>')
    out.append('<text x="350" y="412" text-anchor="middle">recall@10</text>')
    out.append('<text x="18" y="210" text-anchor="middle" transform="rotate(-90 18 210)">queries per CPU second</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        shown = [(x(p[1]), y(p[2])) for p in curve if p[1] >= low]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in shown)
        width = 3 if number == 0 else 1.5
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in shown]
        out.append(f'<path d="M645 {70 + 22 * number}h20" stroke="{colour}" stroke-width="{width}"/>'
                   f'<text x="672" y="{74 + 22 * number}">{name}</text>')
    return "\n".join(out) + "\n</svg>\n"


def ann(bench, *options):
    """The lines of `vecino-bench ann`."""
    done = subprocess.run([bench, "ann", *map(str, options)], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def more(bench, args, folder, data):
    """Tables for the other indexes."""
    metric = {"cos": "cosine", "l2": "euclidean", "ip": "dot"}[args.metric]
    files = ["--base", args.data / args.base, "--query", args.data / args.query, "--metric", metric, "--threads", args.threads]
    if (args.data / args.truth).exists():
        files += ["--truth", args.data / args.truth]
    rows = []
    for index, efforts in (("floats", "0"), ("flat", "0"), ("lsh", "2000,4000,8000,16000"), ("ivf", "18,36,72,144")):
        for line in ann(bench, *files, "--index", index, "--effort", efforts, "--repeat", args.rounds):
            effort = line["effort"] or ""
            name = {"floats": "flat, float scan", "flat": "flat, codes first, exact"}.get(index, index)
            rows.append([name, effort, f"{line['recall_at_10']:.4f}", f"{line['qps_cpu']:,.0f}", f"{line['p50_us']:,.0f}",
                         f"{line['p99_us']:,.0f}", f"{line['build_s']:.1f}", f"{line['bytes_per_vector']:,.0f}"])
            print(*rows[-1], flush=True)
    head = ["index", "effort", "recall@10", "QPS", "p50, us", "p99, us", "build, s", "bytes a vector"]
    text = ["## The other indexes, same data\n",
            "One query per call. The bytes are those of the index and, where it uses them, the codes; float rows are not counted.\n",
            table(head, rows)]
    import numpy as np
    import scipy
    from scipy.spatial import cKDTree

    random = np.random.default_rng(1)
    base, queries = random.random((200_000, 3), np.float32), random.random((10_000, 3), np.float32)
    np.save(folder / "low.npy", base)
    np.save(folder / "low-queries.npy", queries)
    wall = time.perf_counter()
    tree = cKDTree(base)
    build = time.perf_counter() - wall
    batch, single = [], []
    for _ in range(args.rounds):
        (_, nearest), seconds = timed(lambda: tree.query(queries, k=10, workers=1))
        batch.append(seconds)
        single.append(timed(lambda: [tree.query(query, k=10) for query in queries])[1])
    np.save(folder / "low-truth.npy", nearest.astype(np.int32))
    (line,) = ann(bench, "--base", folder / "low.npy", "--query", folder / "low-queries.npy", "--truth", folder / "low-truth.npy",
                  "--metric", "euclidean", "--index", "kd-tree", "--effort", "0", "--repeat", args.rounds)
    rows = [["kd_tree, one query per call", f"{line['qps_cpu']:,.0f}", f"{line['build_s']:.3f}"],
            [f"scipy {scipy.__version__} cKDTree, one batch", f"{len(queries) / statistics.median(batch):,.0f}", f"{build:.3f}"],
            ["cKDTree, one Python call per query", f"{len(queries) / statistics.median(single):,.0f}", f"{build:.3f}"]]
    text += ["## KD-tree: 200,000 uniform points in 3 dimensions, euclidean, exact k = 10, 10,000 queries\n",
             f"Agreement of the answers with cKDTree's: {line['recall_at_10']:.4f}. Built with one thread.\n",
             table(["", "QPS", "build, s"], rows)]
    return "\n".join(text)


def main():
    enter_environment()
    args = arguments()
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "vecino-bench"], cwd=ROOT, check=True)
    bench = TARGET / "release" / "vecino-bench"
    import importlib.metadata as metadata

    started, load = datetime.datetime.now(datetime.UTC), os.getloadavg()
    data = Data(args)
    title = f"{args.title or args.data.resolve().name} ({len(data.base):,} x {data.base.shape[1]})"
    with tempfile.TemporaryDirectory(dir=TARGET) as folder:
        folder = pathlib.Path(folder)
        engines = {"vecino hnsw": Ours(bench, data, args, folder), "hnswlib": Hnswlib(data, args),
                   "faiss HNSW f32": FaissHnsw(data, args), "faiss HNSW SQ8": FaissSq8(data, args),
                   "usearch f32": Usearch(data, args), "usearch i8": UsearchI8(data, args),
                   "svs LVQ8": SvsLvq8(data, args, folder)}
        if args.engines:
            engines = {name: engine for name, engine in engines.items() if name in args.engines.split(",")}
        # Its library ends the process on any other processor.
        without_svs = "svs LVQ8" in engines and "GenuineIntel" not in pathlib.Path("/proc/cpuinfo").read_text()
        if without_svs:
            del engines["svs LVQ8"]
            print("svs LVQ8: left out, its codes work on Intel processors alone", flush=True)
        builds = {}
        for name, engine in engines.items():
            builds[name] = engine.build()
            print(f"{name}: built in {builds[name][0]:.1f} s, {builds[name][1]:.1f} CPU s", flush=True)
        curves = sweep(engines, [int(effort) for effort in args.efforts.split(",")], args.rounds, data.queries, data.truth, data)
        parts = [tables(engines, builds, curves, args)]
        (args.out / "report-hnsw.svg").write_text(plot(curves, title))

        def write():
            names = ("hnswlib", "faiss-cpu", "usearch", "scalable-vs", "scipy", "numpy")
            versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
            loads = ", ".join(f"{one:.1f}" for one in load), ", ".join(f"{one:.1f}" for one in os.getloadavg())
            facts = [f"- Data: {title}; {len(data.queries):,} queries; metric {args.metric}.",
                     f"- Command, from the root of the repository: `python3 bench/compare.py {shlex.join(sys.argv[1:])}`",
                     f"- Processor: {processor()}, {os.cpu_count()} cores. Python {sys.version.split()[0]}, {versions}; "
                     f"vecino at {commit()}.",
                     f"- Begun {started:%Y-%m-%d %H:%M} UTC, ended {datetime.datetime.now(datetime.UTC):%H:%M}. Load average "
                     f"(1, 5, 15 minutes) at the start {loads[0]}, at the end {loads[1]}."]
            if without_svs:
                facts.append("- svs LVQ8 is not among them: its codes work on Intel processors alone.")
            head = "# Measured beside other libraries\n\nWritten by `bench/compare.py`.\n\n" + "\n".join(facts) + "\n"
            keep(head + "\n" + "\n".join(parts), args.out)

        write()
        if args.filter:
            parts.append(filtered(engines, data, args))
            write()
        engines.clear()
        if args.more:
            parts.append(more(bench, args, folder, data))
            write()


def tables(engines, builds, curves, args):
    ours = curves.get("vecino hnsw", [(0, 0, 1)])
    rows = []
    for name, curve in curves.items():
        row = [name]
        for target in TARGETS:
            speed, shown = speed_at(curve, target)
            best, best_shown = speed_at(ours, target)
            # Where the peer's lowest point is above the target already, nothing is known about the target itself.
            if name != "vecino hnsw" and speed and best and not shown.startswith(">"):
                shown += f" ({'>= ' if best_shown.startswith('>') else ''}{best / speed:.2f}x)"
            row.append(shown)
        wall, cpu = builds[name]
        rows.append([*row, f"{max(point[1] for point in curve):.4f}", f"{wall:.1f}", f"{cpu:.1f}"])
    head = ["engine", *(f"QPS at {target:.2f}" for target in TARGETS), "best recall", "build, s", "build, CPU s"]
    text = [f"## HNSW: M = {args.m}, efConstruction = {args.ef_construction}\n",
            "QPS is queries per second of processor time of one searching thread: all queries in one call, every engine in turn at "
            f"each effort, medians of {args.rounds} rounds. At a recall@10 it is interpolated, log-linearly, on the points of the "
            "sweep that no other point beats; >= says that the lowest point was above already, a dash that the recall was never "
            "reached. In brackets: how many times as fast vecino is in this run. Builds have "
            f"{args.threads} threads; their seconds are of the wall clock. Engines are "
            "built one after the other: where a build's seconds are near its CPU seconds, other programs held the other cores, and "
            "only the CPU seconds can be compared. The peers get rows that are of unit length already, "
            "vecino brings them to it while reading.\n",
            table(head, rows)]
    if isinstance(engines.get("vecino hnsw"), Ours):
        text.append(f"vecino's graph and codes take {engines['vecino hnsw'].bytes_per_vector:,.0f} bytes a vector, "
                    "float rows not counted.\n")
    text.append("![Recall against speed](report-hnsw.svg)\n\n### Every point: recall@10 at QPS\n")
    names = list(curves)
    rows = [[point[0], *(f"{curves[name][at][1]:.4f} at {curves[name][at][2]:,.0f}" for name in names)]
            for at, point in enumerate(curves[names[0]])]
    text.append(table(["effort", *names], rows))
    return "\n".join(text)


def filtered(engines, data, args):
    open_any = gzip.open if args.meta.endswith(".gz") else open
    with open_any(args.data / args.meta, "rt") as file:
        records = [json.loads(line) for line in file]
    able = {name: engine for name, engine in engines.items() if engine.filters}
    exact = Faiss(data, args)
    exact.build()
    queries, rows = data.queries[:args.filter_queries], []
    for text in args.filter:
        chosen = Filter(text, records, data)
        truth = data.exact(queries, chosen.mask)
        efforts = [int(effort) for effort in args.filter_efforts.split(",")]
        curves = sweep(able, efforts, args.rounds, queries, truth, data, chosen)
        curves["faiss Flat (exact)"] = sweep({"flat": exact}, [0], args.rounds, queries, truth, data, chosen)["flat"]
        row = [f"{text} ({chosen.mask.mean():.2%})"]
        for curve in curves.values():
            _, shown = speed_at(curve, 0.95)
            row.append(f"{shown}; best {max(point[1] for point in curve):.3f}")
        rows.append(row)
    head = ["filter (share that matches)", *able, "faiss Flat (exact)"]
    return "\n".join([
        "## Filters: QPS at recall@10 of 0.95\n",
        f"The first {len(queries)} queries, against the exact answer among the matching rows, efforts {args.filter_efforts}; then "
        "the best recall of the sweep. The set of matching rows is made before the clock starts, for every engine. "
        "faiss takes it as a bitmap; the Python packages of usearch and svs have no filters"
        + ("." if args.callbacks else ", and hnswlib's are calls into Python, not measured here.") + "\n",
        table(head, rows)])


if __name__ == "__main__":
    main()
