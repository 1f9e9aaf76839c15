// SPDX-License-Identifier: Apache-2.0
// tests/unit/common/tls/test_certificates.h -- certificates made on the spot with the openssl tool.
#ifndef BERTH_TESTS_UNIT_COMMON_TLS_TEST_CERTIFICATES_H_
#define BERTH_TESTS_UNIT_COMMON_TLS_TEST_CERTIFICATES_H_

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/common/temp_folder.h"

namespace berth {

// In `folder`: NAME.crt and NAME.key for each name made.
class TestCertificates {
 public:
  explicit TestCertificates(const TempFolder& folder) : folder_(folder) {}

  std::string Cert(const std::string& name) const { return folder_ / (name + ".crt"); }
  std::string Key(const std::string& name) const { return folder_ / (name + ".key"); }

  void MakeCa(const std::string& name) const {
    Run(absl::StrCat("-keyout ", Key(name), " -out ", Cert(name), " -subj /CN=", name,
                     " -addext basicConstraints=critical,CA:TRUE"));
  }
  // A leaf of `ca` for the DNS name `dns`.
  void MakeLeaf(const std::string& name, const std::string& ca, const std::string& dns) const {
    Run(absl::StrCat("-keyout ", Key(name), " -out ", Cert(name), " -subj /CN=", dns, " -addext subjectAltName=DNS:",
                     dns, " -addext basicConstraints=CA:FALSE -CA ", Cert(ca), " -CAkey ", Key(ca)));
  }

 private:
  void Run(const std::string& arguments) const {
    const std::string command =
        absl::StrCat("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 ", arguments,
                     " 2>", folder_ / "openssl.log");
    CAPTURE(command);
    REQUIRE(std::system(command.c_str()) == 0);
  }

  const TempFolder& folder_;
};

}  // namespace berth

#endif  // BERTH_TESTS_UNIT_COMMON_TLS_TEST_CERTIFICATES_H_
