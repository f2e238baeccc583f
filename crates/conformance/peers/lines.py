"""One job per line in, one answer per line out, both JSON, in order, until the input ends.

What a library prints goes to standard error; an exception is an answer too: {"error": ...}.
"""
import json
import sys


def serve(jobs):
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        job = request.pop("job")
        try:
            answer = jobs[job](**request)
        except Exception as error:
            answer = {"error": words(error)}
        print(json.dumps(answer), file=answers, flush=True)


def verdict(check):
    """True when `check` returns, false with the reason when it raises."""
    try:
        return {"valid": True, **(check() or {})}
    except Exception as error:
        return {"valid": False, "reason": words(error)}


def words(error):
    return f"{type(error).__name__}: {error}"
