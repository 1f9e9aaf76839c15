// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/open_connections.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

namespace berth::admission {

struct OpenConnections::Entry {
  OpenConnections* of;
  int fd;
};

// OpenSSL tells of the end of a connection only to those who have something in it.
int OpenConnections::Index() {
  static const int index =
      SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, [](void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
        auto* entry = static_cast<Entry*>(data);
        if (entry != nullptr) entry->of->Remove(entry->fd);
        delete entry;
      });
  return index;
}

void OpenConnections::Add(SSL* connection) {
  const int fd = SSL_get_fd(connection);
  if (fd < 0 || SSL_get_ex_data(connection, Index()) != nullptr) return;
  auto* entry = new Entry{this, fd};
  if (SSL_set_ex_data(connection, Index(), entry) != 1) {
    delete entry;
    return;
  }
  std::lock_guard lock(mutex_);
  fds_.insert(fd);
  if (ended_) shutdown(fd, SHUT_RDWR);
}

void OpenConnections::EndAll() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  for (const int fd : fds_) shutdown(fd, SHUT_RDWR);
}

void OpenConnections::Remove(int fd) {
  std::lock_guard lock(mutex_);
  fds_.erase(fd);
}

}  // namespace berth::admission
