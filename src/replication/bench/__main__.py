"""`python -m replication.bench TOPIC` adds the rows that a topic has not yet, to data/bench/TOPIC.json."""

import argparse

from replication.bench import files, growth, imagenet, pipeline, plan, recipes, steps

TOPICS = {
    "steps": steps,
    "growth": growth,
    "recipes": recipes,
    "files": files,
    "pipeline": pipeline,
    "imagenet": imagenet,
}


def main():
    parser = argparse.ArgumentParser(prog="python -m replication.bench", description=__doc__)
    parser.add_argument("topic", choices=TOPICS)
    topic = parser.parse_args().topic
    for row in TOPICS[topic].measure(plan.settings(), plan.rows_of(topic)):
        plan.add(topic, row)
        print(topic, row, flush=True)


if __name__ == "__main__":
    main()
