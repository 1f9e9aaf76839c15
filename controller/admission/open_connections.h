// SPDX-License-Identifier: Apache-2.0
// controller/admission/open_connections.h -- the TLS connections of a server that keeps them to itself, so that they
// can be ended all at once.
#ifndef BERTH_CONTROLLER_ADMISSION_OPEN_CONNECTIONS_H_
#define BERTH_CONTROLLER_ADMISSION_OPEN_CONNECTIONS_H_

#include <mutex>
#include <set>

struct ssl_st;

namespace berth::admission {

// Any thread. Must outlive the connections.
class OpenConnections {
 public:
  // From its handshake on, until it is freed, which must be before its socket is closed.
  void Add(ssl_st* connection);
  // Whoever reads from them, or will, finds their end.
  void EndAll();

 private:
  struct Entry;
  static int Index();
  void Remove(int fd);

  std::mutex mutex_;  // guards what follows
  std::set<int> fds_;
  bool ended_ = false;
};

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_OPEN_CONNECTIONS_H_
