// SPDX-License-Identifier: Apache-2.0
// controller/admission/serving_identity.h -- the certificate and key that a TLS server shows, read again when their
// files change.
#ifndef BERTH_CONTROLLER_ADMISSION_SERVING_IDENTITY_H_
#define BERTH_CONTROLLER_ADMISSION_SERVING_IDENTITY_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

struct ssl_st;

namespace berth::admission {

// Any thread.
class ServingIdentity {
 public:
  // PEM files: a chain, own certificate first, and its key.
  ServingIdentity(std::string cert_file, std::string key_file);
  ~ServingIdentity();
  ServingIdentity(const ServingIdentity&) = delete;
  ServingIdentity& operator=(const ServingIdentity&) = delete;

  // Gives a connection that begins what the files hold now. While they are being changed, or hold nothing that fits
  // together, that is what they held before. False when there never was anything good.
  bool Show(ssl_st* connection);

 private:
  struct Loaded;
  using Stamp = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t>;  // device, inode, time of change
  std::shared_ptr<const Loaded> Current();

  const std::string cert_file_, key_file_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<const Loaded> loaded_;
  Stamp cert_stamp_, key_stamp_;  // of `loaded_`
};

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_SERVING_IDENTITY_H_
