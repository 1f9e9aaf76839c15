# SPDX-License-Identifier: Apache-2.0
# Two images, and the symbols of their programs:
#   docker build --target controller -t berth/berth-controller:VERSION .    # the chart's appVersion; in front of it your registry
#   docker build --target agent      -t berth/berth-agent:VERSION .
#   docker build --target debug      -o build/images/debug .
# They hold the programs and what these load, nothing else: no shell, no package manager (tools/lib/image_root.py). tools/image
# builds them without an engine, from the line "FROM scratch" on.
ARG DEBIAN=debian:12-slim
FROM ${DEBIAN} AS build
WORKDIR /src
COPY tools/setup tools/setup
RUN apt-get update -q && tools/setup --ship
COPY . .
RUN cmake --preset release -DBERTH_TESTS=OFF \
 && cmake --build --preset release --target berth-controller berth-agent berthctl \
 && tools/lib/image_root.py build/release/bin /out

FROM scratch AS debug
COPY --from=build /out/debug /

FROM scratch AS controller
COPY --from=build /out/controller /
USER 65532:65532
ENTRYPOINT ["/usr/bin/berth-controller"]

# Root, since it needs NET_ADMIN and NET_RAW, and Kubernetes gives capabilities to no other user.
FROM scratch AS agent
COPY --from=build /out/agent /
USER 0:0
ENTRYPOINT ["/usr/bin/berth-agent"]
