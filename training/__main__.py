"""python -m training data | train | write | evaluate: see README.md."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# Threads that wait must not take the time of those that work: 50 times slower otherwise, next to other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the steps are made in processes of their own


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description="Teach the starter model to infill.")
    parser.add_argument("--state", type=Path, default=Path("training-state"), help="folder of everything that is made")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data", help="fetch the packages and the plain model, and ask it its questions")
    # What is not given has the default of `training.train.train`, whose module takes torch to import.
    train = commands.add_parser("train", help="train, or carry on, until SIGTERM", argument_default=argparse.SUPPRESS)
    train.add_argument("--steps", type=int, help="how many are the whole training")
    train.add_argument("--until", type=int, help="stop after this one, to carry on another time")
    train.add_argument("--rate", type=float, dest="highest", help="the highest")
    train.add_argument("--tokens", type=int, help="of a step")
    train.add_argument("--compile", action="store_true", dest="compiled", help="faster; takes a C++ compiler")
    train.add_argument("--workers", type=int, help="processes that prepare the steps for a GPU")
    train.add_argument("--others", type=float, help="share of the steps with other files in front; 0 without this")
    train.add_argument("--package", action="store_true", help="begin with what ships, and teach it further")
    write = commands.add_parser("write", help="write the adapter into the package", argument_default=argparse.SUPPRESS)
    write.add_argument("--share", type=float, help="go only so far from what ships to what was learned with --package")
    evaluate = commands.add_parser("evaluate", help="measure the package's adapter and write the tables of README.md")
    evaluate.add_argument("--holes", type=int, default=1200)
    evaluate.add_argument("--modes", nargs="+", default=None, help="only these: bare, plain, psm, spm")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    given = {name: value for name, value in vars(options).items() if name not in ("command", "state", "device")}

    if options.command == "data":
        from training import chat, data

        data.collect(options.state)
        data.make_plain_model(options.state)
        chat.make(options.state, options.device)
    elif options.command == "train":
        from training import train as training

        training.train(options.state, device=options.device, **given)
    elif options.command == "write":
        from training import train as training

        training.write(options.state, **given)
    else:
        from training import evaluate as evaluation

        evaluation.evaluate(options.state, options.holes, options.modes or evaluation.MODES, options.device)


if __name__ == "__main__":
    main()
