// SPDX-License-Identifier: Apache-2.0
#include "common/base/quiet_thread.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace berth {

std::thread StartQuietThread(const char* name, std::function<void()> body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace berth
