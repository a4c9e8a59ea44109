# Local parts are compared without case; one way of writing them avoids two users that are one.
{
  module.services.postrider.domains."example.test".users.Ann = { };
  message = "lower case";
}
