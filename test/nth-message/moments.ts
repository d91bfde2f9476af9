import type { Fault, Passed } from "../support/message-proxy.ts";

/**
 * Before and after each message that is `wanted`. Before a message is after the one before it when both came in one piece: that
 * moment is there once.
 */
export function momentsOf(messages: readonly Passed[], wanted: (message: Passed) => boolean = () => true): (Pick<Fault, "when"> & { readonly at: number })[] {
  return messages
    .filter(wanted)
    .flatMap(({ n, joined }) => [...(joined ? [] : [{ at: n, when: "before" as const }]), { at: n, when: "after" as const }]);
}
