# The package: one binary, its manual pages and its shell completions.
{
  lib,
  installShellFiles,
  rustPlatform,
  stdenv,
}:
rustPlatform.buildRustPackage (finalAttrs: {
  pname = "postrider";
  version = (lib.importTOML ../Cargo.toml).package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../build.rs
      ../migrations
      ../src
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [
    "--bin"
    "postrider"
  ];
  # The tests need databases, foreign clients and the test data, which are not part of the source above.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = lib.optionalString (stdenv.buildPlatform == stdenv.hostPlatform) ''
    $out/bin/postrider man man
    installManPage man/*
    installShellCompletion --cmd postrider \
      --bash <($out/bin/postrider completions bash) \
      --fish <($out/bin/postrider completions fish) \
      --zsh <($out/bin/postrider completions zsh)
  '';

  meta = {
    description = "Complete mail server for people who run NixOS";
    homepage = "https://github.com/postrider/postrider";
    changelog = "https://github.com/postrider/postrider/blob/main/CHANGELOG.md";
    license = [
      lib.licenses.asl20
      lib.licenses.mit
    ];
    mainProgram = "postrider";
    platforms = lib.platforms.linux;
  };
})
