// SPDX-License-Identifier: Apache-2.0
// common/base/quiet_thread.h -- a thread beside the loop's.
#ifndef BERTH_COMMON_BASE_QUIET_THREAD_H_
#define BERTH_COMMON_BASE_QUIET_THREAD_H_

#include <functional>
#include <thread>

namespace berth {

// A thread that gets no signals: those are for the loop. `name` shows in ps and top, 15 characters at most.
std::thread StartQuietThread(const char* name, std::function<void()> body);

}  // namespace berth

#endif  // BERTH_COMMON_BASE_QUIET_THREAD_H_
