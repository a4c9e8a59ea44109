# A catch-all must lead to somebody who exists.
{
  module.services.postrider.domains."example.test" = {
    users.ann = { };
    catchAll = "bob@example.test";
  };
  message = "nobody has that address";
}
