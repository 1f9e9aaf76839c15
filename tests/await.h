// SPDX-License-Identifier: Apache-2.0
// tests/await.h -- runs a real event loop until something has come about.
#ifndef BERTH_TESTS_AWAIT_H_
#define BERTH_TESTS_AWAIT_H_

#include <functional>

#include "absl/time/time.h"
#include "common/base/real_event_loop.h"

namespace berth {

// Whether `done` was true within `limit`; it is asked in the loop, each millisecond.
inline bool AwaitOn(RealEventLoop& loop, const std::function<bool()>& done, absl::Duration limit = absl::Seconds(20)) {
  const absl::Time end = loop.Now() + limit;
  bool result = false;
  const std::function<void()> look = [&] {
    result = done();
    if (result || loop.Now() >= end) {
      loop.Stop();
    } else {
      loop.RunAfter(absl::Milliseconds(1), look);
    }
  };
  loop.Post(look);
  loop.Run();
  return result;
}

}  // namespace berth

#endif  // BERTH_TESTS_AWAIT_H_
