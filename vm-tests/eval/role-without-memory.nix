# A role that the kernel would kill as soon as mail arrives.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates.selfSigned = true;
    memoryMax.access = "128M";
  };
  message = "too little for a role, which the kernel would kill";
  naming = "access has 128M and needs 256M";
}
