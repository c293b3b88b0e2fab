/* The answer to the service is in the form; without this script its button sends it. */
document.querySelector("form[data-send]").submit();
