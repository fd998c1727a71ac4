"""The policy's part of make bench: what a decision, a load and a rule cost, by the size of the policy."""
import glob
import json
import os
import re
import shutil
import subprocess

import policies

SIZES = (100, 1000, 10000, 100000)
ROUNDS = 20        # under callgrind, where every call costs the same
TIMED = 2000
WHOLE = "whole review"  # the name of bench_policy for the review of the first request from text to text


def run(argv, **kwargs):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False, **kwargs)
    if p.returncode != 0:
        raise RuntimeError(f"{argv[0]}: {p.stderr.decode(errors='replace')[-2000:]}")
    return json.loads(p.stdout)


def instructions(program, folder, policy, requests):
    """Instructions of one authz_evaluate, by the name of the request, and of a whole review."""
    out = os.path.join(folder, "callgrind")
    run(["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
         "--callgrind-out-file=" + out, program, policy, requests, str(ROUNDS)])
    got = {}
    for path in glob.glob(out + ".*"):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
        if name and total:
            got[name[1]] = int(total[1]) / ROUNDS
        os.unlink(path)
    return got


def measure(builddir, folder, mix, n):
    program = os.path.join(builddir, "tests", "bench", "bench_policy")
    policy, requests = os.path.join(folder, "policy.yaml"), os.path.join(folder, "requests")
    policies.write(mix, n, policy, requests)
    got = run([program, policy, requests, str(TIMED)])
    got["instructions"] = instructions(program, folder, policy, requests)
    return got


def decisions_table(table, mix, got):
    rows = []
    for asked in got[SIZES[-1]]["asked"]:
        name = asked["name"]
        count = [got[n]["instructions"].get(name, float("nan")) for n in SIZES]
        times = [next(a["ns"] for a in got[n]["asked"] if a["name"] == name) for n in SIZES]
        rows.append([name, asked["verdict"]] + [f"{c:.0f}" for c in count] +
                    [f"{count[-1] / count[1]:.2f}", f"{times[-1] / times[1]:.2f}", f"{times[-1]:.0f}"])
    count = [got[n]["instructions"].get(WHOLE, float("nan")) for n in SIZES]
    rows.append([f"{got[SIZES[-1]]['asked'][0]['name']}: the whole review", got[SIZES[-1]]["asked"][0]["verdict"]] +
                [f"{c:.0f}" for c in count] +
                [f"{count[-1] / count[1]:.2f}", f"{got[SIZES[-1]]['whole'] / got[SIZES[1]]['whole']:.2f}",
                 f"{got[SIZES[-1]]['whole']:.0f}"])
    table(f"A decision, {mix} mix: instructions by the number of rules", ["request", "answer at 100k"] +
          [f"{n:,}" for n in SIZES] + ["100k / 1k", "time 100k / 1k", "ns at 100k"], rows)


def part(builddir, folder, table):
    rows = []
    for mix in policies.MIXES:
        got = {}
        for n in SIZES:
            place = os.path.join(folder, f"{mix}-{n}")
            os.mkdir(place)
            got[n] = measure(builddir, place, mix, n)
            g = got[n]
            rows.append([mix, f"{n:,}", f"{g['compile'] * 1000:.0f}", f"{g['bytes'] / n:.0f}", f"{g['postings'] / n:.2f}",
                         f"{g['resident'] / 1024:.0f}", f"{g['peak'] / 1024:.0f}", str(g["candidates"])])
            shutil.rmtree(place)
        decisions_table(table, mix, got)
    table("A policy by its number of rules", ["mix", "rules", "compile ms (CPU)", "bytes a rule", "entries a rule",
                                              "resident MiB after load", "peak MiB", "most candidates"], rows)
