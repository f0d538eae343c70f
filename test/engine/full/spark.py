"""Runs SQL in Spark with the settings that it is given: spark.py SETTINGS, a JSON object

Each line of the input is a statement as a JSON text; each line of the output is its answer: {"rows": [[text, ...], ...]} or {"error": text}.
"""

import json
import sys

from pyspark.sql import SparkSession


def main(settings):
    builder = SparkSession.builder.master("local[2]")
    for name, value in json.loads(settings).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for line in sys.stdin:
        try:
            rows = spark.sql(json.loads(line)).collect()
            answer = {"rows": [["null" if v is None else str(v) for v in r] for r in rows]}
        except Exception as error:  # the test says which may be
            answer = {"error": f"{type(error).__name__}: {error}"[:4000]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
