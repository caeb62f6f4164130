/** Named like a module of the core, too. */
export const names = ["mine"];
