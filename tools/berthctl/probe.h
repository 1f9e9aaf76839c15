// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/probe.h -- asks pages such as /readyz of every address that a name stands for, as `helm test` does of
// the headless Service that names all controllers.
#ifndef BERTH_TOOLS_BERTHCTL_PROBE_H_
#define BERTH_TOOLS_BERTHCTL_PROBE_H_

#include <string>

#include "absl/time/time.h"
#include "tools/berthctl/commands.h"
#include "tools/berthctl/outcome.h"

namespace berth::ctl {

// GETs `url` (http://HOST:PORT/PATH; no TLS, no redirects) from each address of HOST and prints a line for each. Done
// when all answer 2xx. Blocks for up to `timeout` an address.
Outcome Probe(const Console& console, const std::string& url, absl::Duration timeout);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_PROBE_H_
