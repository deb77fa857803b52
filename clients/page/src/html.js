// Elements: htm's templates over Preact. What agents say comes in as text and attributes only, never as markup.

import htm from "htm";
import { Component, h } from "preact";

export const html = htm.bind(h);

/**
 * A part that is drawn anew only when something that it reads is another one: the page changes many times a second, most
 * of it does not.
 *
 * @param {(props: any) => any} part
 * @param {() => unknown[]} reads
 */
export const still = (part, reads) =>
  class extends Component {
    was = reads();

    shouldComponentUpdate() {
      const now = reads();
      const isOther = now.some((each, at) => each !== this.was[at]);
      this.was = now;
      return isOther;
    }

    render() {
      return part(this.props);
    }
  };
