# Every target is one command that also works without make.
.PHONY: install demo test check quick bench timing stuffing walks mutants messages

install:
	python3 .ci/setup.py install

demo:
	python3 .ci/setup.py demo

test:
	python3 .ci/setup.py test

check:
	python3 .ci/setup.py check

quick:
	python3 .ci/setup.py quick

bench:
	python3 .ci/setup.py bench

timing:
	python3 .ci/setup.py timing

stuffing:
	python3 .ci/setup.py stuffing

walks:
	python3 .ci/setup.py walks

mutants:
	python3 .ci/setup.py mutants

messages:
	python3 .ci/setup.py messages
