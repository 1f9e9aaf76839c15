// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/credentials.h -- what a KubeConfig names, read from disk, and read again as it rotates there.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_CREDENTIALS_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_CREDENTIALS_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "controller/kube/client/kube_config.h"

namespace berth::kube {

// FirstFamily by the pod's environment.
std::optional<Family> FirstFamilyOfPod();

// The kubeconfig at `path`, or with an empty one what the pod's environment says. Errors: those of kube_config.h, and
// of reading `path`.
absl::StatusOr<KubeConfig> FindKubeConfig(const std::string& path, const std::string& context = "",
                                          const std::string& pod_folder = kServiceAccountFolder);

// One thread at a time. Reads block on the disk, small files at most each kMaxAge.
class Credentials {
 public:
  static constexpr absl::Duration kMaxAge = absl::Seconds(10);

  struct Secrets {
    std::string token;  // empty: none
    std::string ca, certificate, key;
  };

  // Errors: NotFound or others by errno for a file that cannot be read, InvalidArgument for one that has nothing in it
  // or, of PEM, no PEM.
  static absl::StatusOr<Credentials> Read(KubeConfig config, absl::Time now);

  const KubeConfig& config() const { return config_; }
  // Read again when older than kMaxAge. What cannot be read any more stays as it was: see problem().
  const Secrets& At(absl::Time now);
  // The server has refused them: the next At reads again at once. Not more often than once a second.
  void Refused(absl::Time now);
  // Why the last attempt to read failed; OK when it did not.
  const absl::Status& problem() const { return problem_; }

 private:
  explicit Credentials(KubeConfig config) : config_(std::move(config)) {}
  absl::Status ReadAll();

  KubeConfig config_;
  Secrets secrets_;
  absl::Time read_at_, expires_;
  absl::Status problem_;
};

// The namespace we are in, as `config` or its file says.
absl::StatusOr<std::string> ReadNamespace(const KubeConfig& config);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_CREDENTIALS_H_
