// Elements: htm's templates over Preact. What agents say comes in as text and attributes only, never as markup.

import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
