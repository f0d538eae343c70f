"""Runs SQL in Spark against a catalog that it attaches to by URL and token: spark.py URL TOKEN JARS

Each line of the input is a statement as a JSON text; each line of the output is its answer: {"rows": [[text, ...], ...]} or {"error": text}.
"""

import json
import sys

from pyspark.sql import SparkSession


def main(url, token, jars):
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", jars)
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        .config("spark.sql.catalog.firth", "org.apache.iceberg.spark.SparkCatalog")
        .config("spark.sql.catalog.firth.type", "rest")
        .config("spark.sql.catalog.firth.uri", url)
        .config("spark.sql.catalog.firth.token", token)
        .config("spark.sql.catalog.firth.cache-enabled", "false")
        .getOrCreate()
    )
    for line in sys.stdin:
        try:
            rows = spark.sql(json.loads(line)).collect()
            answer = {"rows": [["null" if v is None else str(v) for v in r] for r in rows]}
        except Exception as error:  # the test says which may be
            answer = {"error": f"{type(error).__name__}: {error}"[:4000]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
