/** What is loaded when it is first needed: a bundle of its own. */
export * as blocks from './chat/blocks';
export { Edits } from './edit';
export { NextEdits } from './nextEdit';
