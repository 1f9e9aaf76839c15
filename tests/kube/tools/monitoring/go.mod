// SPDX-License-Identifier: Apache-2.0
// Where the CRDs of the Prometheus operator come from, for dry runs of the chart's PodMonitors. Nothing of it is built.
module berth.test/monitoring

go 1.24

require github.com/prometheus-operator/prometheus-operator v0.86.1
