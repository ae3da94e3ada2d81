// Yes or no, by mouse or by key; then on to the next fix that has no answer.
'use strict';

const number = Number(document.body.dataset.number);

async function answer(names) {
  try {
    const response = await fetch(`/fix/${number}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ names_mechanism: names }),
    });
    if (!response.ok) throw new Error(await response.text());
    location.assign('/');
  } catch (error) {
    const problem = document.getElementById('problem');
    problem.textContent = `This was not kept: ${error.message}`;
    problem.hidden = false;
  }
}

for (const button of document.querySelectorAll('[data-answer]')) {
  button.addEventListener('click', () => void answer(button.dataset.answer === 'true'));
}
window.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'y' || event.key === 'n') document.querySelector(`[data-answer="${event.key === 'y'}"]`)?.click();
  if (event.key === 'ArrowLeft') document.getElementById('back')?.click();
  if (event.key === 'ArrowRight') document.getElementById('next')?.click();
});
