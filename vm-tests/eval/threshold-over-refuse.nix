# A junk threshold above the refusal would never be reached.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    spam.threshold = 20.0;
  };
  message = "must be greater than threshold";
}
