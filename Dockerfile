# The default run, for machines without Python 3.11; README says how to start it.
FROM python:3.11-slim
WORKDIR /typefleet
COPY . .
# The compiler is for the kernel in C alone, and goes again; without it TensorFlow trains, at 70 to 85 % of the speed.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && \
    pip install --no-cache-dir --require-hashes -r requirements/run.txt && \
    pip install --no-cache-dir --no-deps --no-build-isolation . && \
    apt-get purge -y --auto-remove gcc libc6-dev && rm -rf /var/lib/apt/lists/*
# A run's folder is its owner's alone, so README starts this as the user who is to read it, whom the image does not know.
ENV HOME=/tmp
CMD ["python", "scripts/simulate.py"]
